from typing import Any

import pytest

from registry.publish.bare import inspect_module
from registry.publish.inspect import RULES, Findings
from registry.publish.plugins import MAX_LAYERS, Plugin, from_record, of, to_record
from registry.verdict import Problem, Verdict
from registry.wasm import survey
from registry.wasm.module import read
from storage import records
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.registry.consumers.build import OCI_LAYER, PLUGIN

MANIFEST = Digest("sha256", "1" * 64)
CHILD = Digest("sha256", "2" * 64)
MODULE = Digest.of(PLUGIN)
TWICE = Verdict("istio", (Problem("code", "message.", "fix."),) * 2)
PROBLEM = Problem("code", "message.", "fix.")
SOME = Problem("code", "message.", "fix.", ("1.36", "1.38"))

FACTS = survey.of(read(PLUGIN))
LAYER = Descriptor(OCI_LAYER, Digest.of(b"layer"), 5)
TEXT = Descriptor("text/plain", Digest.of(b"text", "sha512"), 4)

GOOD = Plugin(MANIFEST, (Verdict("istio"), Verdict("envoy")), FACTS, LAYER.digest, (TEXT, LAYER))
PLUGINS = {
    "loads": GOOD,
    "no module": Plugin(MANIFEST, (Verdict("istio", (PROBLEM,)),), layers=(TEXT,)),
    "a module with problems": Plugin(
        CHILD, (Verdict("istio", (PROBLEM, SOME)), Verdict("envoy")), FACTS, LAYER.digest, (LAYER,)
    ),
    "an index that leads to no image": Plugin(None, (Verdict("istio", (PROBLEM,)),)),
    "nothing was judged": Plugin(MANIFEST, ()),
    "sha512": Plugin(Digest("sha512", "3" * 128), (Verdict("istio"),), FACTS),
}


@pytest.mark.parametrize("plugin", PLUGINS.values(), ids=PLUGINS)
def test_a_record_comes_back_as_it_was(plugin: Plugin) -> None:
    assert from_record(records.read(records.write(to_record(plugin)), "key")) == plugin


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rules": RULES + 1}, id="newer rules"),
        pytest.param({"rules": RULES - 1}, id="older rules"),
        pytest.param({"rules": None}, id="no rules"),
        pytest.param({"image": "latest"}, id="no digest"),
        pytest.param({"image": 7}, id="a number for a digest"),
        pytest.param({"module": "x"}, id="a word for a module"),
        pytest.param({"module": {"sha256": MODULE.hex}}, id="half of the facts"),
        pytest.param({"module": FACTS.to_json() | {"size": "many"}}, id="a word for a size"),
        pytest.param({"module": FACTS.to_json() | {"sha256": "x"}}, id="a module without digest"),
        pytest.param({"layer": "x"}, id="a layer without digest"),
        pytest.param({"layers": None}, id="no layers"),
        pytest.param({"layers": [{"digest": str(MODULE)}]}, id="half a layer"),
        pytest.param({"verdicts": {"istio": []}}, id="verdicts by consumer"),
        pytest.param({"verdicts": [{"consumer": "istio"}]}, id="half a verdict"),
        pytest.param({"verdicts": [{"consumer": "x", "problems": [{"code": "x"}]}]}, id="half a problem"),
        pytest.param({"verdicts": [{"consumer": "x", "problems": [{"x": 1}]}]}, id="another problem"),
        pytest.param({"verdicts": [{"consumer": "x", "problems": None}]}, id="no problems at all"),
        pytest.param({"verdicts": None}, id="no verdicts"),
    ],
)
def test_another_record_is_none(changes: dict[str, Any]) -> None:
    assert from_record({**to_record(GOOD), **changes}) is None


@pytest.mark.parametrize("name", to_record(GOOD))
def test_a_record_without_a_part_is_none(name: str) -> None:
    record = to_record(GOOD)
    del record[name]
    assert from_record(record) is None


def test_no_record_is_none() -> None:
    assert from_record(None) is None
    assert from_record({}) is None


def test_what_is_remembered_of_findings() -> None:
    plugin = of(inspect_module(PLUGIN), MANIFEST)
    assert (plugin.image, plugin.module, plugin.size) == (MANIFEST, MODULE, len(PLUGIN))
    assert plugin.ok and plugin.facts == FACTS
    assert plugin.findings.verdicts == plugin.verdicts


def test_what_is_remembered_of_an_index_is_its_child() -> None:
    image = Descriptor(OCI_MANIFEST, CHILD, 5)
    assert of(Findings((Verdict("istio"),), image=image), MANIFEST).image == CHILD


def test_an_index_that_leads_to_no_image_names_none() -> None:
    assert of(Findings((Verdict("istio", (PROBLEM,)),)), None).image is None


def test_what_is_remembered_of_no_module() -> None:
    plugin = of(inspect_module(b"no module"), MANIFEST)
    assert (plugin.module, plugin.size, plugin.facts, plugin.ok) == (None, 0, None, False)


def test_layers_are_remembered_without_what_was_said_about_them() -> None:
    said = Descriptor(OCI_LAYER, LAYER.digest, 5, annotations={"a": "b" * 1000})
    plugin = of(Findings((), layer=said, layers=(TEXT, said)), MANIFEST)
    assert (plugin.layer, plugin.layers) == (LAYER.digest, (TEXT, LAYER))


def test_layers_have_a_limit_and_the_plugin_s_is_among_them() -> None:
    many = tuple(Descriptor("x" * 5000, Digest.of(b"%d" % at), at) for at in range(5000))
    plugin = of(Findings((), layer=many[-1], layers=many), MANIFEST)
    assert len(plugin.layers) == MAX_LAYERS
    assert plugin.layers[-1].digest == plugin.layer == many[-1].digest
    assert len(records.write(to_record(plugin))) < 64 << 10
