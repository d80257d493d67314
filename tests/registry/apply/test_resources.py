import pytest
import yaml

from registry.apply import reading, resources
from registry.apply.options import KINDS, Options
from tests.registry.apply import cases
from tests.registry.apply.cases import PIN, Asked


@pytest.mark.parametrize(("kind", "asked"), cases.params())
def test_it_is_one_document_pinned_to_one_digest(kind: str, asked: Asked) -> None:
    said = resources.render(kind, PIN, reading.read(kind, asked))
    (document,) = yaml.safe_load_all(said)
    assert document
    assert said.startswith("# plugins.example.com/team/wasm:v1, pinned by its digest.")
    body = "".join(line for line in said.splitlines() if not line.startswith("#"))
    assert "wasm:v1" not in body
    by_http = kind == "envoy" or asked.get("by") == ["http"]
    assert (PIN.module.hex in body) is by_http
    assert PIN.image.hex in body


@pytest.mark.parametrize(
    ("kind", "options", "consumer", "is_downloaded"),
    [
        ("wasmplugin", Options(), "istio", False),
        ("trafficextension", Options(by="oci"), "istio", False),
        ("envoyextensionpolicy", Options(), "envoy-gateway", False),
        ("wasmplugin", Options(by="http"), "envoy", True),
        ("envoyextensionpolicy", Options(by="http"), "envoy", True),
        ("envoy", Options(), "envoy", True),
        ("envoy", Options(local="/a"), "envoy", False),
    ],
)
def test_who_takes_it(kind: str, options: Options, consumer: str, is_downloaded: bool) -> None:
    assert resources.consumer(kind, options) == consumer
    assert resources.is_downloaded(kind, options) is is_downloaded


def test_every_kind_is_rendered() -> None:
    assert len({resources.render(kind, PIN, Options()) for kind in KINDS}) == len(KINDS)
