from __future__ import annotations

import pytest

from registry.consumers import envoy, istio
from registry.consumers.envoy_gateway import too_large


@pytest.mark.parametrize(
    ("size", "code"),
    [
        pytest.param(envoy.LIMIT, None, id="what its Envoys fetch"),
        pytest.param(envoy.LIMIT + 1, "module-too-large-to-fetch", id="what they do not"),
        pytest.param(istio.LIMIT, "module-too-large-to-fetch", id="what the gateway takes"),
        pytest.param(istio.LIMIT + 1, "module-too-large", id="what it does not"),
    ],
)
def test_size(size: int, code: str | None) -> None:
    found = too_large(size)
    assert (found.code if found else None) == code
