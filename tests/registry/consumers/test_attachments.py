from __future__ import annotations

import pytest

from registry.consumers.attachments import LAYER_TYPES, is_attachment
from registry.consumers.istio import RUNNABLE_TYPES, layer
from registry.verdict import Problem
from storage.digest import Digest
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from tests.registry.consumers.build import DOCKER_CONFIG, IN_TOTO, OCI_CONFIG, OCI_LAYER, RAW_LAYER

EMPTY = "application/vnd.oci.empty.v1+json"


def _descriptor(media_type: str, text: str = "") -> Descriptor:
    return Descriptor(media_type, Digest.of((text or media_type).encode()), 1)


def _manifest(*types: str, config: str = EMPTY) -> Manifest:
    return Manifest(OCI_MANIFEST, _descriptor(config, "config"), tuple(_descriptor(kind) for kind in types))


TABLE = [
    pytest.param(_manifest(IN_TOTO, config=OCI_CONFIG), True, id="buildx attestation"),
    pytest.param(_manifest(IN_TOTO, IN_TOTO, config=OCI_CONFIG), True, id="two statements"),
    pytest.param(
        _manifest("application/vnd.dev.cosign.simplesigning.v1+json", config=OCI_CONFIG), True, id="cosign 2"
    ),
    pytest.param(_manifest("application/vnd.dev.sigstore.bundle.v0.3+json"), True, id="cosign 3"),
    pytest.param(_manifest("application/vnd.dev.sigstore.bundle.v1+json"), True, id="a bundle to come"),
    pytest.param(_manifest("application/vnd.dev.sigstore.bundle+json;version=0.2"), True, id="an old bundle"),
    pytest.param(_manifest("application/vnd.dsse.envelope.v1+json"), True, id="DSSE"),
    pytest.param(_manifest("application/jose+json"), True, id="notary JWS"),
    pytest.param(_manifest("application/cose"), True, id="notary COSE"),
    pytest.param(_manifest("application/spdx+json"), True, id="SPDX"),
    pytest.param(_manifest("text/spdx"), True, id="SPDX text"),
    pytest.param(_manifest("application/vnd.cyclonedx+json"), True, id="CycloneDX"),
    pytest.param(_manifest("application/vnd.syft+json"), True, id="Syft"),
    pytest.param(_manifest(EMPTY), True, id="an empty layer"),
    pytest.param(_manifest(config="application/x"), True, id="no layers"),
    pytest.param(_manifest(config=OCI_CONFIG), False, id="no layers, an image's config"),
    pytest.param(_manifest(config=DOCKER_CONFIG), False, id="no layers, docker's config"),
    pytest.param(_manifest(IN_TOTO, OCI_LAYER), False, id="one layer is a tar"),
    pytest.param(_manifest(RAW_LAYER), False, id="raw layer"),
    pytest.param(_manifest("application/wasm"), False, id="application/wasm"),
    pytest.param(_manifest("application/x"), False, id="unknown type"),
    pytest.param(_manifest("application/vnd.dev.sigstore.bundle.vx+json"), False, id="no version"),
    pytest.param(_manifest(IN_TOTO, config=OCI_LAYER), False, id="a config of a layer's type"),
]


@pytest.mark.parametrize(("manifest", "expected"), TABLE)
def test_is_attachment(manifest: Manifest, expected: bool) -> None:
    assert is_attachment(manifest) is expected
    if expected:  # what is exempt from loading is nothing that the agent would load
        assert isinstance(layer(manifest), Problem)


def test_a_subject_and_an_artifact_type_exempt_nothing() -> None:
    manifest = Manifest(
        OCI_MANIFEST,
        _descriptor(EMPTY),
        (_descriptor(OCI_LAYER),),
        subject=_descriptor(OCI_MANIFEST),
        artifact_type="application/vnd.dev.sigstore.bundle.v0.3+json",
    )
    assert not is_attachment(manifest)


def test_no_runnable_type_is_in_the_table() -> None:
    assert not LAYER_TYPES & RUNNABLE_TYPES


def test_the_trick_with_the_config_would_work_on_the_agent() -> None:
    """A layer with the config's digest has the config's type for the agent: so it is no attachment."""
    same = Digest.of(b"same")
    manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_LAYER, same, 1), (Descriptor(IN_TOTO, same, 1),))
    assert not isinstance(layer(manifest), Problem)
    assert not is_attachment(manifest)


@pytest.mark.parametrize(
    ("children", "attached", "expected"),
    [
        pytest.param(["a", "b"], {"a", "b"}, True, id="all children are"),
        pytest.param(["a", "b"], {"a"}, False, id="one is not"),
        pytest.param([], set(), False, id="no children"),
    ],
)
def test_an_index_is_one_when_all_its_children_are(
    children: list[str], attached: set[str], expected: bool
) -> None:
    index = Manifest(OCI_INDEX, manifests=tuple(_descriptor(OCI_MANIFEST, name) for name in children))
    known = {Digest.of(name.encode()) for name in attached}
    assert is_attachment(index, lambda child: child.digest in known) is expected
    assert not is_attachment(index)
