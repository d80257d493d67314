from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import manifest as under_test
from storage.digest import Digest
from storage.errors import ManifestInvalid
from storage.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    Platform,
    parse,
)

ONE, TWO, THREE = (Digest.of(bytes([at])) for at in range(3))
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(ONE), "size": 2}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(TWO), "size": 3}
CHILD = {"mediaType": OCI_MANIFEST, "digest": str(THREE), "size": 4}


def image(**fields: Any) -> dict[str, Any]:
    """An image manifest with these fields; `...` takes one away."""
    return _with({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}, fields)


def index(**fields: Any) -> dict[str, Any]:
    """An index with these fields; `...` takes one away."""
    return _with({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [CHILD]}, fields)


def layer(**fields: Any) -> dict[str, Any]:
    """An image whose layer has these fields; `...` takes one away."""
    return image(layers=[_with(LAYER, fields)])


def _with(document: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**document, **fields}.items() if value is not ...}


def read(document: Any, content_type: str = "") -> Manifest:
    """Parse it as it would be sent."""
    return parse(json.dumps(document).encode(), content_type)


def test_everything_of_an_image_is_read() -> None:
    found = read(
        image(
            artifactType="application/x",
            subject=CHILD,
            annotations={"a": "b"},
            layers=[LAYER, {**LAYER, "annotations": {"c": "d"}, "artifactType": "t", "urls": ["https://x"]}],
            somethingNew={"any": [1, None]},
        )
    )
    one = Descriptor(LAYER["mediaType"], TWO, 3)  # type: ignore[arg-type]
    assert found == Manifest(
        media_type=OCI_MANIFEST,
        config=Descriptor(CONFIG["mediaType"], ONE, 2),  # type: ignore[arg-type]
        layers=(one, Descriptor(one.media_type, TWO, 3, artifact_type="t", annotations={"c": "d"})),
        subject=Descriptor(OCI_MANIFEST, THREE, 4),
        artifact_type="application/x",
        annotations={"a": "b"},
    )
    assert (found.is_index, found.referrer_type) == (False, "application/x")


def test_everything_of_an_index_is_read() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"}
    found = read(index(manifests=[CHILD, {**CHILD, "platform": platform}], subject=CHILD))
    child = Descriptor(OCI_MANIFEST, THREE, 4)
    assert found == Manifest(
        media_type=OCI_INDEX,
        manifests=(child, Descriptor(OCI_MANIFEST, THREE, 4, platform=Platform("linux", "arm", "v7"))),
        subject=child,
    )
    assert (found.is_index, found.referrer_type, list(found.blobs())) == (True, "", [])
    assert str(found.manifests[1].platform) == "linux/arm/v7"


GOOD = {
    "docker": (image(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST),
    "docker list": (index(mediaType=DOCKER_LIST), DOCKER_LIST),
    "type only in the header": (image(mediaType=...), OCI_MANIFEST),
    "type only in the body": (image(), ""),
    "empty type in the body": (index(mediaType=""), OCI_INDEX),
    "parameters of the type": (image(), OCI_MANIFEST + " ; charset=utf-8"),
    "no layers": (image(layers=[]), ""),
    "no children": (index(manifests=[]), ""),
    "nulls for what may be missing": (image(subject=None, artifactType=None, annotations=None), ""),
    "null platform": (index(manifests=[{**CHILD, "platform": None}]), ""),
    "empty platform": (index(manifests=[{**CHILD, "platform": {}}]), ""),
    "a size of 0": (layer(size=0), ""),
    "the largest size": (layer(size=2**63 - 1), ""),
    "sha512": (layer(digest=str(Digest.of(b"", "sha512"))), ""),
    "data that is what the digest names": (layer(data="AQ==", size=1), ""),
    "null data": (layer(data=None), ""),
    "empty data of nothing": (layer(data="", size=0, digest=str(Digest.of(b""))), ""),
    "urls": (layer(urls=["https://example.com/x"]), ""),
    "null urls": (layer(urls=None), ""),
    "a platform with all that there is": (
        index(manifests=[{**CHILD, "platform": {"os.version": "1", "os.features": ["x"], "features": None}}]),
        "",
    ),
    "fields of annotations in any case": (image(annotations={"Layers": "x", "layers": "y"}), ""),
    "text of all planes": (image(annotations={"ä": "\U0001f980\0"}), ""),
}


@pytest.mark.parametrize(("document", "content_type"), GOOD.values(), ids=GOOD)
def test_good_manifests(document: dict[str, Any], content_type: str) -> None:
    assert read(document, content_type).media_type in (
        content_type.partition(" ")[0],
        document.get("mediaType"),
    )


@pytest.mark.parametrize(
    ("own", "stated"), [(OCI_MANIFEST, True), (..., False), ("", False), (None, False)], ids=str
)
def test_whether_the_body_says_its_type(own: object, stated: bool) -> None:
    assert read(image(mediaType=own), OCI_MANIFEST).states_type == stated


BAD: dict[str, tuple[Any, str, str]] = {
    "a list": ([], "", "not a JSON object"),
    "a string": ("x", "", "not a JSON object"),
    "null": (None, "", "not a JSON object"),
    "no version": (image(schemaVersion=...), "", "schemaVersion"),
    "version 1": (image(schemaVersion=1), "", "schemaVersion"),
    "version true": (image(schemaVersion=True), "", "schemaVersion"),
    "version 2.0": (image(schemaVersion=2.0), "", "schemaVersion"),
    "version as text": (image(schemaVersion="2"), "", "schemaVersion"),
    "no type at all": (image(mediaType=...), "", "no type of manifest"),
    "an unknown type": (image(mediaType="application/json"), "application/json", "no type of manifest"),
    "a type in another case": (image(mediaType=OCI_MANIFEST.upper()), "", "no type of manifest"),
    "a huge type": (image(mediaType="x" * 10**6), "", "no type of manifest"),
    "a type that is a number": (image(mediaType=7), OCI_MANIFEST, "mediaType is not a string"),
    "another type than was sent": (image(), OCI_INDEX, "Content-Type"),
    "a near type": (image(), DOCKER_MANIFEST, "Content-Type"),
    "layers and manifests": (image(manifests=[]), "", "two meanings"),
    "manifests and layers": (index(layers=[]), "", "two meanings"),
    "an index with a config": (index(config=CONFIG), "", "two meanings"),
    "an image with null manifests": (image(manifests=None), "", "two meanings"),
    "no config": (image(config=...), "", "config is not a descriptor"),
    "config is a list": (image(config=[CONFIG]), "", "config is not a descriptor"),
    "no layers": (image(layers=...), "", "layers is not a list"),
    "layers is an object": (image(layers={"0": LAYER}), "", "layers is not a list"),
    "a layer is a digest": (image(layers=[str(TWO)]), "", "layers[0] is not a descriptor"),
    "no manifests": (index(manifests=...), "", "manifests is not a list"),
    "subject is a digest": (image(subject=str(TWO)), "", "subject is not a descriptor"),
    "subject is false": (image(subject=False), "", "subject is not a descriptor"),
    "artifactType is a list": (image(artifactType=["x"]), "", "artifactType"),
    "annotations is a list": (image(annotations=["x"]), "", "annotations"),
    "an annotation is a number": (image(annotations={"x": 1}), "", "annotations"),
    "an annotation is null": (image(annotations={"x": None}), "", "annotations"),
    "half a character": (image(annotations={"x": "\ud800"}), "", "annotations"),
    "half a character in a name": (image(annotations={"\udfff": "x"}), "", "annotations"),
    "half a character in a type": (image(artifactType="\ud800"), "", "artifactType"),
    "no size": (layer(size=...), "", "size"),
    "size null": (layer(size=None), "", "size"),
    "size negative": (layer(size=-1), "", "size"),
    "size true": (layer(size=True), "", "size"),
    "size as text": (layer(size="3"), "", "size"),
    "size a fraction": (layer(size=3.0), "", "size"),
    "size over 63 bits": (layer(size=2**63), "", "size"),
    "size huge": (layer(size=10**4000), "", "size"),
    "no digest": (layer(digest=...), "", "digest"),
    "digest a number": (layer(digest=7), "", "digest"),
    "digest short": (layer(digest="sha256:abc"), "", "hexadecimal"),
    "digest in capitals": (layer(digest=str(TWO).upper()), "", "digest"),
    "digest of an unknown kind": (layer(digest="md5:" + "0" * 32), "", "digest"),
    "digest huge": (layer(digest="sha256:" + "0" * 10**6), "", "hexadecimal"),
    "no type of a layer": (layer(mediaType=...), "", "mediaType"),
    "empty type of a layer": (layer(mediaType=""), "", "mediaType"),
    "type of a layer a number": (layer(mediaType=1), "", "mediaType"),
    "data that is no base64": (layer(data="é="), "", "base64"),
    "data with spaces": (layer(data="AAE C"), "", "base64"),
    "data of another content": (layer(data="AAEC"), "", "data of layers[0]"),
    "data of another size": (layer(data="AQ=="), "", "data of layers[0]"),
    "empty data": (layer(data=""), "", "data of layers[0]"),
    "urls are text": (layer(urls="https://example.com/x"), "", "urls of layers[0]"),
    "urls of numbers": (layer(urls=[1]), "", "urls of layers[0]"),
    "a platform's version a number": (
        index(manifests=[{**CHILD, "platform": {"os.version": 1}}]),
        "",
        "os.version",
    ),
    "a platform's features are text": (
        index(manifests=[{**CHILD, "platform": {"os.features": "x"}}]),
        "",
        "os.features",
    ),
    "a platform's old features of numbers": (
        index(manifests=[{**CHILD, "platform": {"features": [1]}}]),
        "",
        "features",
    ),
    "OS.Version in a platform": (
        index(manifests=[{**CHILD, "platform": {"OS.Version": "1"}}]),
        "",
        "'os.version'",
    ),
    "data in capitals": (layer(Data="AQ=="), "", "'data'"),
    "data a number": (layer(data=1), "", "data"),
    "platform is text": (index(manifests=[{**CHILD, "platform": "linux/amd64"}]), "", "platform"),
    "platform of numbers": (index(manifests=[{**CHILD, "platform": {"os": 1}}]), "", "platform"),
    "Layers": (image(Layers=[]), "", "'layers'"),
    "MANIFESTS in an image": (image(MANIFESTS=[]), "", "'manifests'"),
    "a long s": (image(**{"manife\u017fts": []}), "", "'manifests'"),
    "SchemaVersion": (index(SchemaVersion=1), "", "'schemaVersion'"),
    "Digest in a descriptor": (layer(Digest=str(ONE)), "", "'digest'"),
    "a long s in a descriptor": (layer(**{"dige\u017ft": str(ONE)}), "", "'digest'"),
    "OS in a platform": (index(manifests=[{**CHILD, "platform": {"OS": "linux"}}]), "", "'os'"),
    "a long s in a platform": (index(manifests=[{**CHILD, "platform": {"o\u017f": "x"}}]), "", "'os'"),
}


@pytest.mark.parametrize(("document", "content_type", "said"), BAD.values(), ids=BAD)
def test_bad_manifests(document: Any, content_type: str, said: str) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        read(document, content_type)
    message = str(raised.value)
    assert said in message
    assert len(message) < 800
    assert message.encode()


GOOD_BODY = json.dumps(image()).encode()
BAD_BODIES = {
    "empty": (b"", "not JSON"),
    "no JSON": (b"<html>", "not JSON"),
    "cut short": (GOOD_BODY[:-1], "not JSON"),
    "more after it": (GOOD_BODY + b"{}", "not JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "not JSON"),
    "half a character in UTF-8": (b'{"a": "\xed\xa0\x80"}', "not JSON"),
    "UTF-16": (GOOD_BODY.decode().encode("utf-16"), "not JSON"),
    "UTF-16 without its mark": (GOOD_BODY.decode().encode("utf-16-le"), "not JSON"),
    "UTF-32": (GOOD_BODY.decode().encode("utf-32"), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD_BODY, "not JSON"),
    "NaN": (GOOD_BODY[:-1] + b', "x": NaN}', "NaN"),
    "Infinity": (GOOD_BODY[:-1] + b', "x": [-Infinity]}', "Infinity"),
    "a number of 5,000 digits": (GOOD_BODY[:-1] + b', "x": ' + b"9" * 5000 + b"}", "not JSON"),
    "a field twice": (GOOD_BODY[:-1] + b', "layers": []}', "twice"),
    "a field twice, the same": (GOOD_BODY[:-1] + b', "schemaVersion": 2}', "twice"),
    "a field twice, escaped": (GOOD_BODY[:-1] + b', "\\u006cayers": []}', "twice"),
    "a field twice, deep": (GOOD_BODY[:-1] + b', "x": [{"a": 1, "a": 1}]}', "twice"),
    "lists 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "deep"),
    "objects 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "deep"),
    "a field 100,000 deep": (GOOD_BODY[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
}


@pytest.mark.parametrize(("body", "said"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_bodies(body: bytes, said: str) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        parse(body, OCI_MANIFEST)
    assert said in str(raised.value)
    assert len(str(raised.value)) < 300


def test_blobs_that_are_kept_elsewhere_need_not_be_here() -> None:
    kept = [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ]
    found = read(image(layers=[*({**LAYER, "mediaType": name} for name in kept), LAYER]))
    assert [blob.digest for blob in found.blobs()] == [ONE, TWO]
    assert len(found.layers) == 3


def test_the_kind_of_a_referrer_is_else_its_config() -> None:
    assert read(image()).referrer_type == CONFIG["mediaType"]
    assert read(image(artifactType="")).referrer_type == CONFIG["mediaType"]
    assert read(index(artifactType="application/x")).referrer_type == "application/x"


@pytest.mark.parametrize("document", [CONFIG, {**LAYER, "artifactType": "t", "annotations": {"a": "b"}}])
def test_descriptors_are_written_as_they_were_read(document: dict[str, Any]) -> None:
    assert under_test.descriptor(document, "here").to_json() == document


# Fuzz: whatever comes in, a manifest or ManifestInvalid comes out.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([str(ONE), OCI_MANIFEST, OCI_INDEX, CONFIG["mediaType"]]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*image(), *index(), *LAYER, "subject", "platform", "annotations", "os", "Size"])
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def taken(body: bytes, content_type: str) -> None:
    try:
        found = parse(body, content_type)
    except ManifestInvalid as error:
        assert 0 < len(str(error)) < 1000
        assert str(error).encode()
    else:
        assert found.media_type in MEDIA_TYPES
        assert all(0 <= blob.size < 2**63 for blob in found.blobs())
        assert json.dumps([blob.to_json() for blob in found.blobs()], ensure_ascii=False).encode()


@given(st.binary(max_size=300), st.sampled_from(["", OCI_MANIFEST, OCI_INDEX]))
@settings(max_examples=80)
def test_any_bytes(body: bytes, content_type: str) -> None:
    taken(body, content_type)


@given(JSON, st.sampled_from(["", OCI_MANIFEST, OCI_INDEX]))
@settings(max_examples=80)
def test_any_json(document: Any, content_type: str) -> None:
    taken(json.dumps(document).encode(), content_type)


@given(
    st.sampled_from([image(), index(), image(subject=CHILD, annotations={"a": "b"})]),
    st.dictionaries(st.sampled_from([*image(), *index(), "subject", "artifactType"]), JSON, max_size=2),
    st.dictionaries(st.sampled_from([*LAYER, "platform", "annotations", "artifactType"]), JSON, max_size=2),
)  # fmt: skip
@settings(max_examples=80)
def test_a_manifest_with_other_fields(
    document: dict[str, Any], fields: dict[str, Any], inner: dict[str, Any]
) -> None:
    within = {name: [{**LAYER, **inner}] for name in ("layers", "manifests") if name in document}
    taken(json.dumps({**document, **within, **fields}).encode(), "")


@given(st.sampled_from([image(), index()]), st.data())
@settings(max_examples=80)
def test_a_manifest_with_other_bytes(document: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    taken(bytes(body), "")
