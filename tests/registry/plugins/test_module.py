import base64
import hashlib
import random
from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer, sha256
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, RAW, RAW_CONFIG, UNKNOWN, A, B
from tests.registry.talk import MISSING, Registry
from tests.registry.wasm.binary import custom

OTHER_PLUGIN = PLUGIN + custom("other")
OTHER = image("other", [(OCI_LAYER, layer(("plugin.wasm", OTHER_PLUGIN)))], None)
C = image("C", [RAW_CONFIG, RAW], None)
TWO = index("of two", [(OTHER, ARM64), (B, AMD64)], None)
BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
DIGEST = hashlib.sha256(PLUGIN)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("shape", [A, B, C, BUILDX, TWO], ids=str)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_the_module_of_an_image(registry: Registry, shape: Shape, by: str, method: str) -> None:
    assert registry.push(shape).status == 201
    reference = ":v1" if by == "tag" else f"@{shape.digest}"
    answer = registry.ask(method, f"/plugins/{registry.name}{reference}/plugin.wasm")
    assert (answer.status, answer["content-type"]) == (200, "application/wasm")
    assert answer["content-length"] == str(len(PLUGIN))
    assert answer["etag"] == f'"{sha256(PLUGIN)}"'
    assert answer["repr-digest"] == f"sha-256=:{base64.b64encode(DIGEST.digest()).decode()}:"
    assert answer["accept-ranges"] == "bytes"
    kept = {"tag": "no-cache", "digest": "public, max-age=31536000, immutable"}
    assert answer["cache-control"] == kept[by]
    assert answer.body == (PLUGIN if method == "GET" else b"")


@pytest.mark.parametrize(
    ("asked", "body"), [("bytes=0-3", b"\0asm"), ("bytes=8-", PLUGIN[8:]), ("bytes=-4", PLUGIN[-4:])]
)
def test_a_part(registry: Registry, asked: str, body: bytes) -> None:
    registry.push(B)
    path = f"/plugins/{registry.name}:v1/plugin.wasm"
    for condition, status in ((f'"{sha256(PLUGIN)}"', 206), ('"other"', 200)):
        answer = registry.get(path, {"Range": asked, "If-Range": condition})
        assert (answer.status, answer.body) == (status, body if status == 206 else PLUGIN)
    assert registry.get(path, {"Range": "bytes=9999-"})["content-range"] == f"bytes */{len(PLUGIN)}"


def test_a_tag_that_moves(registry: Registry) -> None:
    path = f"/plugins/{registry.name}:v1/plugin.wasm"
    for shape, module in ((B, PLUGIN), (OTHER, OTHER_PLUGIN), (B, PLUGIN)):
        registry.push(shape)
        for _ in range(2):
            assert registry.get(path).body == module


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        (":v2", 404),
        (f"@{MISSING}", 404),
        ("@sha256:0", 400),
        ("@v1", 400),
        (":.v1", 400),
        (f":{MISSING}", 400),
    ],
)
def test_what_is_not_here(registry: Registry, reference: str, status: int) -> None:
    registry.push(B)
    answer = registry.get(f"/plugins/{registry.name}{reference}/plugin.wasm")
    assert answer.status == status
    assert answer.error["message"]


def test_an_attestation_has_none_and_says_so(registry: Registry) -> None:
    registry.push(ATTESTATION)
    answer = registry.get(f"/plugins/{registry.name}:v1/plugin.wasm")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert "no plugin" in answer.error["message"]


def test_an_image_of_another_repository(registry: Registry) -> None:
    registry.push(B)
    assert registry.get(f"/plugins/{registry.other().name}@{B.digest}/plugin.wasm").status == 404


def test_a_module_whose_bytes_went_is_taken_out_again(registry: Registry, store: Path) -> None:
    module = PLUGIN + custom("gone")
    shape = image("gone", [(OCI_LAYER, layer(("plugin.wasm", module)))], None)
    registry.push(shape)
    path = f"/plugins/{registry.name}:v1/plugin.wasm"
    assert registry.get(path, {"Range": "bytes=0-3"}).body == b"\0asm"
    hexadecimal = sha256(module)[7:]
    (store / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal).unlink()
    assert registry.get(path, {"Range": "bytes=0-3"}).body == b"\0asm"
    assert registry.get(path).body == module


def test_a_module_whose_image_went_is_no_answer(
    registry: Registry, store: Path, sidecargo: Sidecargo
) -> None:
    # Too large to lie within the link.
    module = PLUGIN + custom("damaged", random.Random("damaged").randbytes(20_000))
    shape = image("damaged", [(OCI_LAYER, layer(("plugin.wasm", module)))], None)
    registry.push(shape)
    path = f"/plugins/{registry.name}:v1/plugin.wasm"
    assert registry.get(path, {"Range": "bytes=0-3"}).status == 206
    for digest in (sha256(module), shape.manifest["layers"][0]["digest"]):
        (store / "blobs" / "sha256" / digest[7:9] / digest[7:]).unlink()
    for fields in ({}, {"Range": "bytes=0-3"}):
        assert registry.get(path, fields).status == 503
    assert registry.push(shape).status == 201
    assert registry.get(path).body == module
    assert sidecargo.process.running
