"""On changed modules, too, the verdict is that of the real Envoys."""

from __future__ import annotations

import re

import pytest

from registry.releases import ENVOYS
from registry.wasm.module import NotAModule, read
from tests.fuzz.amount import AMOUNT
from tests.fuzz.modules import module, seeded
from tests.real import envoys
from tests.real.envoys import Said
from tests.real.verdicts import compare, judged, suspects

pytestmark = [pytest.mark.real, pytest.mark.slow]

# (ref null HT) and (ref HT), HT being a negative number in more than its one byte.
_PADDED_HEAP_TYPE = re.compile(rb"[\x63\x64][\xc0-\xff][\x80-\xff]*\x7f")

MODULES = AMOUNT // 10 or 300
"""How many are given to each release."""


@pytest.mark.parametrize("release", ENVOYS)
def test_a_changed_module_gets_envoys_verdict(release: str) -> None:
    # Other modules for each release; a name alone is enough to have the module again.
    modules = {f"{release} {at}": module(seeded(f"{release} {at}")) for at in range(MODULES)}
    said = envoys.ask(release, modules, suspects(modules, release))
    assert any(one.loads for one in said.values())
    decided = {
        name: data
        for name, data in modules.items()
        if not only_running_shows(data, said[name]) and not has_no_verdict_to_compare(data, release)
    }
    assert len(decided) > MODULES // 2
    assert [str(one) for one in compare(decided, release, said)] == []


def has_no_verdict_to_compare(data: bytes, release: str) -> bool:
    """Whether we look into less than V8, or refuse what no tool pads so (docs/envoy-releases.md)."""
    problems = judged(data, release)
    if [problem.code for problem in problems] == ["wasm-beyond-limits"]:
        return True
    said = " ".join(problem.message for problem in problems)
    padded_heap_type = "invalid value type" in said and _PADDED_HEAP_TYPE.search(data)
    return "invalid tag attributes" in said or bool(padded_heap_type)


def only_running_shows(data: bytes, said: Said) -> bool:
    """Whether what happened may be what the module's own code did while it was instantiated."""
    if any("Failed to create new Wasm instance" in word for word in said.words):
        return True
    if said.end != "crashes":
        return False
    try:
        return read(data).start is not None
    except NotAModule:
        return False
