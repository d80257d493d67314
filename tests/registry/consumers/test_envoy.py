from __future__ import annotations

from registry.consumers.envoy import KEY, LIMIT, too_large


def test_what_envoy_buffers_is_what_it_fetches() -> None:
    assert too_large(0) is None
    assert too_large(LIMIT) is None
    found = too_large(LIMIT + 1)
    assert found is not None and found.code == "module-too-large-to-fetch"
    assert str(LIMIT + 1) in found.message and KEY in found.fix
    assert len(str(found)) <= 200
