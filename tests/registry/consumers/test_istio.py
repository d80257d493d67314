from __future__ import annotations

import pytest

from registry.consumers.istio import LIMIT, Form, Layer, child, layer, oversized, too_large
from registry.verdict import Problem
from storage.digest import Digest
from storage.manifest import Descriptor, Manifest, Platform, parse
from tests.registry.consumers.build import DOCKER_LAYER, OCI_LAYER, PLUGIN, RAW_LAYER, Shape, image
from tests.registry.consumers.judging import judged
from tests.registry.consumers.lies import LIES, STRICTER
from tests.registry.consumers.shapes import GOOD, INDEXES, LAYOUTS, RAW, SHAPES, TEXT, A, B


@pytest.mark.parametrize("shape", [*LAYOUTS, *INDEXES, *LIES, *STRICTER], ids=str)
def test_shape(shape: Shape) -> None:
    found = judged(shape)
    assert (found.code if isinstance(found, Problem) else None) == shape.code
    if isinstance(found, Problem):
        assert found.message
        assert found.fix
        assert len(str(found)) <= 200, str(found)


def test_the_table_is_large_and_its_names_are_its_own() -> None:
    assert len(SHAPES) >= 70
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_what_is_cut_is_too_large() -> None:
    assert too_large(LIMIT) is None
    found = too_large(LIMIT + 1)
    assert found is not None and found.code == "module-too-large"
    assert len(str(found)) <= 200


def test_an_oversized_entry_is_named() -> None:
    found = oversized("x" * 40, 2**63)
    assert "x" * 40 in found.message and str(2**63) in found.message
    assert len(str(found)) <= 200


def _layer(shape: Shape) -> Layer | Problem:
    return layer(parse(shape.body, shape.media_type))


def _digest(shape: Shape, at: int) -> str:
    return str(shape.manifest["layers"][at]["digest"])


def test_the_last_layer_counts() -> None:
    shape = image("two", [TEXT, GOOD], None)
    found = _layer(shape)
    assert isinstance(found, Layer)
    assert (str(found.descriptor.digest), found.form, found.of) == (_digest(shape, 1), Form.TAR_GZIP, 2)
    assert found.otherwise is None


def test_a_raw_layer_is_second_choice_where_the_last_is_a_tar() -> None:
    shape = image("both", [RAW, GOOD], None)
    found = _layer(shape)
    assert isinstance(found, Layer)
    assert found.form is Form.TAR_GZIP
    assert found.otherwise
    assert (str(found.otherwise.descriptor.digest), found.otherwise.form) == (_digest(shape, 0), Form.RAW)


@pytest.mark.parametrize(("shape", "media_type"), [(A, DOCKER_LAYER), (B, OCI_LAYER)], ids=["A", "B"])
def test_forms(shape: Shape, media_type: str) -> None:
    found = _layer(shape)
    assert isinstance(found, Layer)
    assert found.descriptor.media_type == media_type


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        pytest.param([(RAW_LAYER, PLUGIN)], "sidecargo push main.wasm HOST/REPO:TAG", id="one raw layer"),
        pytest.param([("application/vnd.oci.image.layer.v1.tar+zstd", b"")], "compression=gzip", id="zstd"),
        pytest.param([], "COPY main.wasm ./plugin.wasm", id="nothing"),
    ],
)
def test_the_fix_says_what_to_type(layers: list[tuple[str, bytes]], says: str) -> None:
    found = _layer(image("x", layers, ""))
    assert isinstance(found, Problem)
    assert says in found.fix


SHA512 = Digest("sha512", "0" * 128)
SHA256 = Digest("sha256", "0" * 64)


def _descriptor(media_type: str, digest: Digest = SHA256, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type, digest, 1, platform=platform)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(
            Manifest(B.media_type, _descriptor("c", SHA512), (_descriptor(OCI_LAYER),)), id="config"
        ),
        pytest.param(
            Manifest(B.media_type, _descriptor("c"), (_descriptor("x", SHA512), _descriptor(OCI_LAYER))),
            id="another layer",
        ),
        pytest.param(
            Manifest(
                B.media_type,
                _descriptor("c", Digest("sha256", "1" * 64)),
                (_descriptor(OCI_LAYER),),
                subject=_descriptor("x", SHA512),
            ),
            id="subject",
        ),
    ],
)
def test_any_digest_but_sha256_makes_a_manifest_unreadable(manifest: Manifest) -> None:
    found = layer(manifest)
    assert isinstance(found, Problem)
    assert found.code == "digest-not-sha256"


def test_so_it_does_in_an_index() -> None:
    good = _descriptor(B.media_type, platform=Platform("linux", "amd64"))
    bad = _descriptor(B.media_type, SHA512, Platform("linux", "arm64"))
    found = child(Manifest("application/vnd.oci.image.index.v1+json", manifests=(good, bad)))
    assert isinstance(found, Problem)
    assert found.code == "digest-not-sha256"


def test_the_platforms_that_are_there_are_named_but_no_attestations() -> None:
    entries = (
        _descriptor("x", platform=Platform("linux", "arm64")),
        _descriptor("x", platform=Platform("unknown", "unknown")),
    )
    found = child(Manifest("application/vnd.oci.image.index.v1+json", manifests=entries))
    assert isinstance(found, Problem)
    assert "in the index: linux/arm64." in found.message
    assert "docker save IMAGE | sidecargo push - HOST/REPO:TAG" in found.fix
