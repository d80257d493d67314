from __future__ import annotations

import base64
import json

import pytest

from registry.signing.cosign import (
    CONFIG_TYPE,
    PAYLOAD_TYPE,
    SIGNATURE,
    SignatureInvalid,
    SignatureManifest,
    payload,
    sign,
    signature_manifest,
    signature_tag,
    verify,
)
from registry.signing.keys import KeyInvalid, new_key
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor, Manifest, parse

DIGEST = Digest.of(b"an image")
OTHER = Digest.of(b"another image")
KEY = new_key()
NAME = "plugins.example.com/acme/wasm"


def _made(existing: Manifest | None = None) -> SignatureManifest:
    made = signature_manifest(sign(NAME, DIGEST, KEY), existing)
    assert made
    return made


def test_the_payload_byte_for_byte() -> None:
    assert payload(NAME, DIGEST) == (
        b'{"critical":{"identity":{"docker-reference":"plugins.example.com/acme/wasm"},'
        b'"image":{"docker-manifest-digest":"' + str(DIGEST).encode() + b'"},'
        b'"type":"cosign container image signature"},"optional":null}'
    )


def test_the_tag() -> None:
    assert signature_tag(DIGEST) == f"sha256-{DIGEST.hex}.sig"


def test_the_layer_names_and_signs_the_payload() -> None:
    made = sign(NAME, DIGEST, KEY)
    assert made.layer.media_type == PAYLOAD_TYPE
    assert made.layer.digest == Digest.of(made.payload)
    assert made.layer.size == len(made.payload)
    verify(made.payload, made.layer.annotations[SIGNATURE], KEY.public_pem, DIGEST)


def test_the_manifest_and_its_config() -> None:
    made = _made()
    found = parse(made.manifest, OCI_MANIFEST)
    assert found.config == Descriptor(CONFIG_TYPE, Digest.of(made.config), len(made.config))
    assert found.layers == (sign(NAME, DIGEST, KEY).layer,)
    assert json.loads(made.config)["rootfs"]["diff_ids"] == [str(Digest.of(made.payload))]


def test_replicas_write_the_same() -> None:
    assert _made() == _made()


def test_signing_twice_adds_nothing() -> None:
    first = parse(_made().manifest, OCI_MANIFEST)
    assert signature_manifest(sign(NAME, DIGEST, KEY), first) is None


def test_other_signatures_stay_as_they_are() -> None:
    theirs = Descriptor(
        PAYLOAD_TYPE,
        Digest.of(b"theirs"),
        6,
        annotations={SIGNATURE: "abc=", "dev.sigstore.cosign/bundle": '{"x":1}'},
    )
    existing = Manifest(
        OCI_MANIFEST,
        Descriptor(CONFIG_TYPE, Digest.of(b"{}"), 2),
        (theirs,),
        subject=Descriptor(OCI_MANIFEST, DIGEST, 8),
        artifact_type="application/x",
        annotations={"a": "b"},
    )
    made = _made(existing)
    found = parse(made.manifest, OCI_MANIFEST)
    assert found.layers == (theirs, sign(NAME, DIGEST, KEY).layer)
    assert (found.subject, found.artifact_type, found.annotations) == (
        existing.subject,
        "application/x",
        {"a": "b"},
    )
    assert json.loads(made.config)["rootfs"]["diff_ids"] == [str(layer.digest) for layer in found.layers]
    assert signature_manifest(sign(NAME, DIGEST, KEY), found) is None


def test_a_second_key_signs_beside_the_first() -> None:
    first = parse(_made().manifest, OCI_MANIFEST)
    second = signature_manifest(sign(NAME, DIGEST, new_key()), first)
    assert second
    layers = parse(second.manifest, OCI_MANIFEST).layers
    assert len(layers) == 2
    assert layers[0].digest == layers[1].digest  # one payload, two signatures
    assert layers[0].annotations != layers[1].annotations


def _signature(signed: bytes = b"") -> str:
    return base64.b64encode(KEY.sign(signed or payload(NAME, DIGEST))).decode()


PAYLOAD = payload(NAME, DIGEST)
_R_ZERO = base64.b64encode(bytes.fromhex("3006020100020101")).decode()
_S_ZERO = base64.b64encode(bytes.fromhex("3006020101020100")).decode()
_NOT_SIGNED = b'{"critical":{}}'
_WRONG_TYPE = PAYLOAD.replace(b"cosign container", b"atomic container")
_NESTED = b"[" * 100_000
BAD = [
    pytest.param(PAYLOAD, _signature(), OTHER, "another manifest", id="moved to another digest"),
    pytest.param(PAYLOAD.replace(b"acme", b"evil"), _signature(), DIGEST, "not made", id="payload changed"),
    pytest.param(PAYLOAD, "not base64!", DIGEST, "not base64", id="not base64"),
    pytest.param(PAYLOAD, "é", DIGEST, "not base64", id="not ASCII"),
    pytest.param(PAYLOAD, "", DIGEST, "not made", id="empty"),
    pytest.param(PAYLOAD, "A" * 2000, DIGEST, "too long", id="huge"),
    pytest.param(PAYLOAD, base64.b64encode(b"no DER").decode(), DIGEST, "not made", id="not DER"),
    pytest.param(PAYLOAD, _R_ZERO, DIGEST, "not made", id="r is zero"),
    pytest.param(PAYLOAD, _S_ZERO, DIGEST, "not made", id="s is zero"),
    pytest.param(_NOT_SIGNED, _signature(_NOT_SIGNED), DIGEST, "simple signing", id="no fields"),
    pytest.param(b"[]", _signature(b"[]"), DIGEST, "simple signing", id="not an object"),
    pytest.param(b"\xff", _signature(b"\xff"), DIGEST, "simple signing", id="not JSON"),
    pytest.param(_NESTED, _signature(_NESTED), DIGEST, "simple signing", id="nested"),
    pytest.param(_WRONG_TYPE, _signature(_WRONG_TYPE), DIGEST, "cosign's", id="another kind"),
]


@pytest.mark.parametrize(("signed", "signature", "digest", "says"), BAD)
def test_bad_signatures(signed: bytes, signature: str, digest: Digest, says: str) -> None:
    with pytest.raises(SignatureInvalid, match=says):
        verify(signed, signature, KEY.public_pem, digest)


def test_a_foreign_key_and_no_key() -> None:
    with pytest.raises(SignatureInvalid, match="not made with this key"):
        verify(PAYLOAD, _signature(), new_key().public_pem, DIGEST)
    with pytest.raises(KeyInvalid):
        verify(PAYLOAD, _signature(), b"no key", DIGEST)
