import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, UNKNOWN, A, B
from tests.registry.talk import Registry, fresh
from tests.registry.wasm.binary import custom

OTHER = image("other", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("x"))))], None)
BUILDX = index("buildx", [(OTHER, ARM64), (B, AMD64), (ATTESTATION, UNKNOWN)], None)
SHA256 = hashlib.sha256(PLUGIN).hexdigest()


@pytest.mark.parametrize(
    ("shape", "pin"),
    [pytest.param(shape, pin, id=shape.name) for shape, pin in ((A, A), (B, B), (BUILDX, B))],
)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_what_loads(registry: Registry, shape: Shape, pin: Shape, by: str) -> None:
    registry.push(shape)
    reference = ":v1" if by == "tag" else f"@{shape.digest}"
    answer = registry.get(f"/plugins/{registry.name}{reference}")
    assert (answer.status, answer["content-type"], answer["vary"]) == (200, "application/json", "Accept")
    report = answer.json
    assert set(report) == {"repository", "reference", "digest", "ok", "consumers", "module", "pin"}
    assert (report["repository"], report["reference"]) == (registry.name, reference[1:])
    assert (report["digest"], report["ok"]) == (shape.digest, True)
    assert report["consumers"]
    for verdict in report["consumers"].values():
        assert verdict == {"ok": True, "problems": []}
    module = report["module"]
    assert (module["sha256"], module["size"], module["abi"]) == (SHA256, len(PLUGIN), "0_2_1")
    # Of an index, agents compare the child's digest: that is what to pin.
    assert report["pin"] == {"oci": pin.digest, "http": SHA256}
    found = registry.get(module["path"])
    assert hashlib.sha256(found.body).hexdigest() == SHA256
    assert "immutable" in found["cache-control"]


def test_what_does_not_load_says_why(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn}\n")
    registry = fresh(serve(settings=settings).host)
    shape = image("no plugin", [(OCI_LAYER, layer(("readme", b"x")))], None)
    registry.push(shape)
    report = registry.get(f"/plugins/{registry.name}:v1").json
    assert (report["ok"], report["module"], report["pin"]["http"]) == (False, None, None)
    (problem,) = report["consumers"]["istio"]["problems"]
    assert set(problem) == {"code", "message", "fix"}
    assert problem["code"] == "no-plugin-wasm"
    answer = registry.get(f"/plugins/{registry.name}:v1/plugin.wasm")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert problem["message"] in answer.error["message"] and problem["fix"] in answer.error["message"]
    page = registry.get(f"/plugins/{registry.name}:v1", {"Accept": "text/html"}).body.decode()
    assert "Does not load." in page
    no_abi = image("no ABI", [(OCI_LAYER, layer(("plugin.wasm", b"\0asm\x01\0\0\0")))], None)
    registry.push(no_abi)
    report = registry.get(f"/plugins/{registry.name}:v1").json
    assert not report["ok"]
    assert report["module"]["abi"] == ""
    # Nothing is signed that does not load.
    assert not [tag for tag in registry.get(f"{registry.base}/tags/list").json["tags"] if tag != "v1"]
