import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from registry.apply import reading, resources
from registry.apply.options import KINDS
from registry.apply.pin import Pin
from storage.digest import Digest
from tests.real.sidecargo import Sidecargo
from tests.registry.apply import cases
from tests.registry.apply.cases import Asked
from tests.registry.client.pushing import FROM_1_39
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, image, index, layer
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, HOSTILE, UNKNOWN, B
from tests.registry.talk import Registry, fresh
from tests.registry.wasm.binary import custom

MODULE = Digest.of(PLUGIN)
OTHER = image("other", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("x"))))], None)
BUILDX = index("buildx", [(OTHER, ARM64), (B, AMD64), (ATTESTATION, UNKNOWN)], None)


def path(registry: Registry, kind: str, reference: str = ":v1", **query: Any) -> str:
    asked = urlencode({name.replace("_", "-"): value for name, value in query.items()}, doseq=True)
    return f"/plugins/{registry.name}{reference}/{kind}.yaml{'?' if asked else ''}{asked}"


@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_answered_is_what_the_command_prints(
    registry: Registry, kind: str, by: str, shape: Any
) -> None:
    registry.push(shape)
    reference = ":v1" if by == "tag" else f"@{shape.digest}"
    answer = registry.get(path(registry, kind, reference))
    assert (answer.status, answer["content-type"], answer["cache-control"]) == (
        200,
        "application/yaml",
        "no-cache",
    )
    # Of an index the child is pinned, whatever was asked for.
    tag = "v1" if by == "tag" else ""
    pin = Pin(registry.host, registry.name, Digest.parse(B.digest), MODULE, "http", tag)
    assert answer.body.decode() == resources.render(kind, pin, reading.read(kind, {}))
    head = registry.ask("HEAD", path(registry, kind, reference))
    assert (head.status, head["content-length"]) == (200, str(len(answer.body)))


@pytest.mark.parametrize(("kind", "asked"), cases.params())
def test_options_are_parameters(registry: Registry, kind: str, asked: Asked) -> None:
    registry.push(B)
    answer = registry.get(path(registry, kind, **asked))
    pin = Pin(registry.host, registry.name, Digest.parse(B.digest), MODULE, "http", "v1")
    assert (answer.status, answer.body.decode()) == (
        200,
        resources.render(kind, pin, reading.read(kind, asked)),
    )


@pytest.mark.parametrize(
    ("kind", "query", "said"),
    [
        ("wasmplugin", {"nmae": "x"}, "the parameter 'nmae' is no option. There are name, "),
        ("wasmplugin", {"name": ["a", "b"]}, "the parameter 'name' is given too often."),
        ("wasmplugin", {"root-id": "x"}, "the parameter 'root-id' is not for WasmPlugin. Istio calls it"),
        ("envoy", {"by": "oci"}, "the parameter 'by' is http for Envoy"),
        ("envoyextensionpolicy", {"plugin-config": '"\\ud800"'}, "has half a character in a string."),
        ("wasmplugin", {"x" * 5000: "x"}, "is no option"),
        ("wasmplugin", {"selector": "\x00=a"}, "cannot be printed"),
    ],
)
def test_wrong_parameters(registry: Registry, kind: str, query: dict[str, Any], said: str) -> None:
    registry.push(B)
    answer = registry.get(path(registry, kind, **query))
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")
    assert said in answer.error["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_here(registry: Registry, kind: str) -> None:
    registry.push(BUILDX)
    for reference in (":v2", f"@sha256:{'0' * 64}", f"@{ATTESTATION.digest}"):
        answer = registry.get(path(registry, kind, reference))
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


def settings_of(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text)
    return file


def test_what_does_not_load_has_no_yaml(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = fresh(serve(settings=settings_of(tmp_path, "admission: {mode: warn}\n")).host)
    registry.push(image("no ABI", [(OCI_LAYER, layer(("plugin.wasm", b"\0asm\x01\0\0\0")))], None))
    registry.push(image("nothing", [(OCI_LAYER, layer(("readme", b"x")))], None), "v2")
    for kind in KINDS:
        for tag, code in ((":v1", "no-abi"), (":v2", "no-plugin-wasm")):
            answer = registry.get(path(registry, kind, tag))
            assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
            error = answer.error
            assert error["message"].startswith("what is applied would be an outage: ")
            assert error["message"].endswith(error["detail"][0]["fix"])
            assert error["detail"][0]["code"] == code


def test_each_consumer_has_its_own_verdict(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    """What one consumer does not take, another may."""
    registry = fresh(serve(settings=settings_of(tmp_path, "admission: {mode: warn}\n")).host)
    (shape,) = (shape for shape in HOSTILE if shape.name == "a link of less than nothing")
    registry.push(shape)
    loads = {
        name: verdict["ok"]
        for name, verdict in registry.get(f"/plugins/{registry.name}:v1").json["consumers"].items()
    }
    assert (loads["istio"], loads["envoy-gateway"]) == (False, True)
    for kind, query, consumer in (
        ("wasmplugin", {}, "istio"),
        ("trafficextension", {}, "istio"),
        ("envoyextensionpolicy", {}, "envoy-gateway"),
        ("wasmplugin", {"by": "http"}, "envoy"),
        ("envoyextensionpolicy", {"by": "http"}, "envoy"),
        ("envoy", {}, "envoy"),
    ):
        status = registry.get(path(registry, kind, **query)).status
        assert status == (200 if loads[consumer] else 400), (kind, query)


@pytest.mark.parametrize(("releases", "status"), [('["1.40"]', 200), ('["1.38", "1.40"]', 400)])
def test_the_envoys_of_the_repository_count(
    serve: Callable[..., Sidecargo], tmp_path: Path, releases: str, status: int
) -> None:
    settings = settings_of(tmp_path, f"admission: {{mode: warn, envoy: {releases}}}\n")
    registry = fresh(serve(settings=settings).host)
    registry.push(image("new", [(OCI_LAYER, layer(("plugin.wasm", FROM_1_39)))], None))
    for kind in KINDS:
        assert registry.get(path(registry, kind)).status == status


def test_the_public_url_counts(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "server: {public_url: 'https://plugins.example.com:8443'}\n")
    registry = fresh(serve(settings=settings).host)
    registry.push(B)
    spec = yaml.safe_load(registry.get(path(registry, "wasmplugin")).body)["spec"]
    assert spec["url"] == f"oci://plugins.example.com:8443/{registry.name}@{B.digest}"
    spec = yaml.safe_load(registry.get(path(registry, "wasmplugin", by="http")).body)["spec"]
    url = f"https://plugins.example.com:8443/plugins/{registry.name}@{B.digest}/plugin.wasm"
    assert spec == {"url": url, "sha256": hashlib.sha256(PLUGIN).hexdigest()}
    (cluster,) = yaml.safe_load(registry.get(path(registry, "envoy")).body)["clusters"]
    assert "transport_socket" in cluster


@pytest.mark.parametrize(
    "host", ["a.example.com", "localhost:5000", "10.0.0.1:5000", "[::1]:5000", "my_host"]
)
def test_without_one_the_host_of_the_request(registry: Registry, host: str) -> None:
    registry.push(B)
    answer = registry.get(path(registry, "wasmplugin"), {"Host": host})
    assert yaml.safe_load(answer.body)["spec"]["url"] == f"oci://{host}/{registry.name}@{B.digest}"


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a:x", "a:0", "a:65536", "a:99999", "'", "a#b", "é", "user@host"]
)
def test_no_host_that_is_none(registry: Registry, host: str) -> None:
    registry.push(B)
    answer = registry.get(path(registry, "wasmplugin"), {"Host": host})
    assert answer.status == 400
    assert answer.code == "UNSUPPORTED"


@pytest.mark.parametrize("file", ["foo.yaml", "WASMPLUGIN.YAML", "envoy.yml", "<b>", "x" * 300])
def test_another_file_is_told_which_there_are(registry: Registry, file: str) -> None:
    registry.push(B)
    for reference in (":v1", f"@{B.digest}"):
        answer = registry.get(f"/plugins/{registry.name}{reference}/{file}")
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
        assert file[:80] in answer.error["message"] and "x" * 81 not in answer.error["message"]
        for known in (*(f"{kind}.yaml" for kind in KINDS), "plugin.wasm"):
            assert known in answer.error["message"]


def test_what_does_not_load_is_mended_under_its_own_name(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    registry = fresh(serve(settings=settings_of(tmp_path, "admission: {mode: warn}\n")).host)
    lying = image("raw", [(OCI_LAYER, PLUGIN)], "-")
    registry.push(lying)
    for reference, tag in ((":v1", "v1"), (f"@{lying.digest}", "TAG")):
        named = f" {registry.host}/{registry.name}:{tag}"
        error = registry.get(path(registry, "wasmplugin", reference)).error
        assert error["message"].endswith(named) and error["detail"][0]["fix"].endswith(named)
        error = registry.get(f"/plugins/{registry.name}{reference}/plugin.wasm").error
        assert error["message"].endswith(named)


def test_an_index_without_an_image_has_no_yaml(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = fresh(serve(settings=settings_of(tmp_path, "admission: {mode: warn}\n")).host)
    registry.push(index("arm only", [(OTHER, ARM64)], None))
    for kind in KINDS:
        answer = registry.get(path(registry, kind))
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_what_was_deleted(registry: Registry) -> None:
    registry.push(B)
    assert registry.get(path(registry, "wasmplugin")).status == 200
    registry.ask("DELETE", f"{registry.base}/manifests/{B.digest}")
    for reference in (":v1", f"@{B.digest}"):
        assert registry.get(path(registry, "wasmplugin", reference)).status == 404
