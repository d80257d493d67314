"""Manifests that lie, mumble or mean two things: beside the shapes, which say what they are.

`LIES` are judged as the agents judge them. `STRICTER` are refused here although agents take them: each
can be read in two ways, or not at all, and another client may do so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from storage.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer
from tests.registry.consumers.shapes import AMD64, GOOD, RAW, TEXT, A, B

INVALID = "manifest invalid"
"""The `code` of a manifest that is refused before anything of it is judged."""


def with_layer(name: str, code: str | None, **fields: Any) -> Shape:
    """B, with other fields in its layer's descriptor."""
    entry = {**B.manifest["layers"][0], **fields}
    return Shape(name, {**B.manifest, "layers": [entry]}, code, B.blobs, content_type=OCI_MANIFEST)


def with_child(name: str, code: str | None, child: Shape = B, **fields: Any) -> Shape:
    """An index of one linux/amd64 child, with other fields in its descriptor."""
    plain = index(name, [(child, AMD64)], code)
    entry = {**plain.manifest["manifests"][0], **fields}
    return Shape(name, {**plain.manifest, "manifests": [entry]}, code, {}, (child,), OCI_INDEX)


def with_fields(name: str, code: str | None, **fields: Any) -> Shape:
    """B, with other fields."""
    return Shape(name, {**B.manifest, **fields}, code, B.blobs, content_type=OCI_MANIFEST)


def with_body(name: str, code: str | None, raw: bytes) -> Shape:
    """B, with another body."""
    return Shape(name, B.manifest, code, B.blobs, content_type=OCI_MANIFEST, raw=raw)


def platform(**more: Any) -> Mapping[str, Any]:
    return {**AMD64, **more}


_RESERVED = GOOD[1][:3] + b"\x20" + GOOD[1][4:]
_NO_MODULE = layer(("plugin.wasm", b"text text"))
_NOTHING = layer(("plugin.wasm", b""))
_AGAIN = b', "layers":' + json.dumps(B.manifest["layers"]).encode() + b"}"
_OF_SHA512 = {**B.manifest["config"], "digest": "sha512:" + "0" * 128}
_FOREIGN = OCI_LAYER.replace("layer.", "layer.nondistributable.")
_FEATURES = {"os.features": ["x"], "features": ["y"]}
_INLINE = base64.b64encode(GOOD[1]).decode()
_SHA512 = "sha512:" + "0" * 128
_INNER = index("an inner index", [(B, AMD64)], None)
_BODY = B.body

LIES = [
    with_layer("inline data", None, data=_INLINE),
    with_layer("empty inline data", INVALID, data=""),
    with_layer("inline data null", None, data=None),
    with_layer("inline data of another content", INVALID, data="AAEC"),
    with_layer("inline data, a list", INVALID, data=[1]),
    with_layer("urls", None, urls=["https://example.com/x"]),
    with_layer("urls, a string", INVALID, urls="https://example.com/x"),
    with_layer("urls of numbers", INVALID, urls=[1]),
    with_layer("urls null", None, urls=None),
    with_layer("a layer with a platform", None, platform={"os": "linux", "architecture": "arm64"}),
    with_layer("a layer with a platform of text", INVALID, platform="linux"),
    with_layer("a layer's annotations of numbers", INVALID, annotations={"a": 1}),
    with_layer("a layer's artifactType, a number", INVALID, artifactType=1),
    with_layer("a layer's digest in capitals", INVALID, digest=B.manifest["layers"][0]["digest"].upper()),
    with_layer("a layer's digest of sha512", "digest-not-sha256", digest=_SHA512),
    with_layer("a layer's digest, cut", INVALID, digest=B.manifest["layers"][0]["digest"][:-1]),
    with_layer("a layer's size, a fraction", INVALID, size=1.5),
    with_layer("a layer's size, a string", INVALID, size="1"),
    with_layer("a layer's type with a parameter", "layer-type", mediaType=f"{OCI_LAYER}; charset=utf-8"),
    with_layer("a layer's type in capitals", "layer-type", mediaType=OCI_LAYER.upper()),
    with_layer("a foreign layer", "layer-type", mediaType=_FOREIGN),
    with_fields("annotations", None, annotations={"a": "ä"}),
    with_fields("annotations of numbers", INVALID, annotations={"a": 1}),
    with_fields("annotations, a list", INVALID, annotations=[]),
    with_fields("a subject that is not there", None, subject=B.manifest["config"]),
    with_fields("a subject, a string", INVALID, subject="x"),
    with_fields("a subject of sha512", "digest-not-sha256", subject=_OF_SHA512),
    with_fields("an artifactType, a number", INVALID, artifactType=1),
    with_fields("schemaVersion, a string", INVALID, schemaVersion="2"),
    with_fields("layers null", INVALID, layers=None),
    with_fields("layers, an object", INVALID, layers={}),
    with_fields("unknown fields", None, unknown={"layers": [1, None]}),
    with_body("no JSON", INVALID, b"hello"),
    with_body("an empty body", INVALID, b""),
    with_body("a byte order mark", INVALID, b"\xef\xbb\xbf" + _BODY),
    with_body("UTF-16", INVALID, _BODY.decode().encode("utf-16")),
    with_body("a number that is none", INVALID, _BODY[:-1] + b', "x": NaN}'),
    with_body("a list", INVALID, b"[" + _BODY + b"]"),
    with_child("a child's platform null", None, platform=None),
    with_child("a platform with a version", None, platform=platform(**{"os.version": "10"})),
    with_child("a platform with features", None, platform=platform(**_FEATURES)),
    with_child("a platform's version, a number", INVALID, platform=platform(**{"os.version": 10})),
    with_child("a platform's features, a string", INVALID, platform=platform(**{"os.features": "x"})),
    with_child("a platform's old features, a string", INVALID, platform=platform(features="x")),
    with_child("a platform in capitals", "no-linux-amd64", platform={"os": "Linux", "architecture": "AMD64"}),
    with_child("a platform, a string", INVALID, platform="linux/amd64"),
    with_child("x86_64", "no-linux-amd64", platform={"os": "linux", "architecture": "x86_64"}),
    with_child("a child that is an index, called an image", INVALID, _INNER, mediaType=OCI_MANIFEST),
    with_child("a child's digest of sha512", "digest-not-sha256", digest=_SHA512),
    with_child("a child's artifactType", None, artifactType="application/x"),
    Shape("an index called an image", _INNER.manifest, INVALID, {}, (B,), OCI_MANIFEST),
    Shape("an image called an index", B.manifest, INVALID, B.blobs, content_type=OCI_INDEX),
    index("an index with a docker child", [(A, AMD64)], None),
    index("a list of a list", [(_INNER, AMD64)], None),
    index("a nested index without platform before the image", [(_INNER, None), (B, AMD64)], None),
    image("C beside a plugin.wasm that is none", [RAW, (OCI_LAYER, _NO_MODULE)], "plugin-not-wasm"),
    image("C beside an empty plugin.wasm", [RAW, (OCI_LAYER, _NOTHING)], "plugin-empty"),
    image("C beside a tar of a tar", [RAW, (OCI_LAYER, layer(("x.tar", PLUGIN)))], None),
    image("B of forty layers", [*([TEXT] * 39), GOOD], None),
]  # fmt: skip

STRICTER = [
    with_body("a field twice", INVALID, _BODY[:-1] + b', "schemaVersion": 2}'),
    with_body("layers twice", INVALID, _BODY[:-1] + _AGAIN),
    with_body("bytes after the manifest", INVALID, _BODY + b"noise"),
    with_body("no UTF-8", INVALID, _BODY[:-1] + b', "annotations": {"a": "\xff"}}'),
    image("reserved flags of gzip", [(OCI_LAYER, _RESERVED)], "layer-corrupt"),
    with_fields("manifests beside layers", INVALID, manifests=[]),
    with_fields("a field in another case", INVALID, Annotations={}),
    with_fields("schemaVersion 1", INVALID, schemaVersion=1),
    with_fields("no schemaVersion", INVALID, schemaVersion=None),
    with_fields("an annotation null", INVALID, annotations={"a": None}),
    with_child("an image's other type in the index", INVALID, mediaType=DOCKER_MANIFEST),
    with_child("an image of no known type in the index", INVALID, mediaType="application/x"),
]  # fmt: skip
