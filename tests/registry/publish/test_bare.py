from __future__ import annotations

import pytest

from registry.consumers import envoy
from registry.publish.bare import inspect_module
from registry.publish.inspect import CONSUMERS
from registry.wasm.judge import judge
from registry.wasm.module import read
from tests.registry.consumers.build import OTHER, PLUGIN, sized

TO_FETCH = ["module-too-large-to-fetch"]
NO_PLUGIN = [problem.code for problem in judge(read(OTHER), OTHER)]


@pytest.mark.parametrize(
    ("data", "verdicts"),
    [
        pytest.param(PLUGIN, [[], [], []], id="a plugin"),
        pytest.param(sized(envoy.LIMIT), [[], [], []], id="a large one"),
        pytest.param(sized(envoy.LIMIT + 1), [[], TO_FETCH, TO_FETCH], id="a byte more"),
        pytest.param(OTHER, [NO_PLUGIN] * 3, id="a module without ABI"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"text", None, id="text"),
        pytest.param(PLUGIN[:-3], None, id="cut"),
    ],
)
def test_a_bare_module(data: bytes, verdicts: list[list[str]] | None) -> None:
    found = inspect_module(data)
    assert tuple(verdict.consumer for verdict in found.verdicts) == CONSUMERS
    if verdicts is None:
        assert not found.ok
        assert found.facts is None
        return
    assert [[problem.code for problem in verdict.problems] for verdict in found.verdicts] == verdicts
    assert found.ok is not any(verdicts)
    assert found.facts is not None and found.facts.size == len(data)
