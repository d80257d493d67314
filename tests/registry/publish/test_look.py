"""`look`: from a layer's bytes to its module and the verdicts."""

from __future__ import annotations

import io

import pytest

from registry.consumers.istio import Form
from registry.publish import look as look_module
from registry.publish.bare import inspect_module
from registry.publish.inspect import CONSUMERS, Looked
from registry.publish.look import look
from tests.registry.consumers.build import OTHER, PLUGIN, layer
from tests.registry.publish.looks import spool

PACKED = layer(("plugin.wasm", PLUGIN))
LOADS = inspect_module(PLUGIN)
LAYERS = [
    pytest.param(Form.TAR_GZIP, PACKED, PLUGIN, id="a plugin"),
    pytest.param(Form.RAW, PLUGIN, PLUGIN, id="a raw one"),
    pytest.param(Form.TAR_GZIP, layer(("plugin.wasm", OTHER)), OTHER, id="a module that does not load"),
]


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "in its file"])
@pytest.mark.parametrize(("form", "data", "module"), LAYERS)
def test_what_is_in_a_layer(
    monkeypatch: pytest.MonkeyPatch, form: Form, data: bytes, module: bytes, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(look_module, "IN_MEMORY", 0)
    with spool() as into:
        found = look(form, [data], into)
        into.seek(0)
        assert into.read() == module
    expected = inspect_module(module)
    assert (found.verdicts, found.facts) == (expected.verdicts, expected.facts)
    assert (found.extracted, found.settled, found.oversized) == (True, form is Form.TAR_GZIP, None)


@pytest.mark.parametrize(
    ("form", "data", "settled", "code"),
    [
        (Form.TAR_GZIP, layer(("a", b"")), False, "no-plugin-wasm"),
        (Form.TAR_GZIP, layer(("plugin.wasm", b"text")), True, "plugin-empty"),
        (Form.RAW, b"text", False, "plugin-empty"),
        (Form.TAR_GZIP, PLUGIN, False, "layer-type-lies"),
    ],
    ids=["no plugin", "a plugin of text", "raw text", "no tar"],
)
def test_why_there_is_none(form: Form, data: bytes, settled: bool, code: str) -> None:
    with spool() as into:
        found = look(form, io.BytesIO(data), into)
    assert [[problem.code for problem in verdict.problems] for verdict in found.verdicts] == [[code]] * 3
    assert [verdict.consumer for verdict in found.verdicts] == list(CONSUMERS)
    assert (found.extracted, found.settled, found.facts) == (False, settled, None)


def test_the_number_of_layers_is_told() -> None:
    with spool() as into:
        (problem,) = look(Form.TAR_GZIP, [layer(("a", b""))], into, of=3).verdicts[0].problems
    assert "last of 3 layers" in problem.message


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(Looked(LOADS.verdicts, LOADS.facts, extracted=True), id="a plugin"),
        pytest.param(Looked(LOADS.verdicts, settled=True, oversized=("a", 1 << 40)), id="oversized"),
        pytest.param(Looked(()), id="nothing"),
    ],
)
def test_as_json_and_back(found: Looked) -> None:
    assert Looked.from_json(found.to_json()) == found
