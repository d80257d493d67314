from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from registry.signing.cosign import (
    CONFIG_TYPE,
    PAYLOAD_TYPE,
    SIGNATURE,
    SignatureManifest,
    payload,
    sign,
    signature_manifest,
    signature_tag,
    signed_by,
    verify,
)
from registry.signing.keys import SignatureInvalid, new_key
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
    assert signed_by(signature_tag(DIGEST)) == DIGEST
    for other in ("v1", f"sha256-{DIGEST.hex}", f"sha256-{DIGEST.hex}.att", f"sha512-{DIGEST.hex * 2}.sig"):
        assert signed_by(other) is None


def test_the_layer_names_and_signs_the_payload() -> None:
    made = sign(NAME, DIGEST, KEY)
    assert made.layer.media_type == PAYLOAD_TYPE
    assert made.layer.digest == Digest.of(made.payload)
    assert made.layer.size == len(made.payload)
    verify(made.payload, made.layer.annotations[SIGNATURE], KEY.public, DIGEST)


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
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
R, S = decode_dss_signature(KEY.sign(PAYLOAD))


def _der(r: int, s: int) -> str:
    return base64.b64encode(encode_dss_signature(r, s)).decode()


_TRAILING = base64.b64encode(KEY.sign(PAYLOAD) + b"\0").decode()
# BER: the length of the sequence in two bytes where one is enough.
_LONG_FORM = base64.b64encode(b"\x30\x81" + KEY.sign(PAYLOAD)[1:]).decode()
_RAW = base64.b64encode(R.to_bytes(32, "big") + S.to_bytes(32, "big")).decode()
_OTHER_CURVE = base64.b64encode(
    ec.generate_private_key(ec.SECP384R1()).sign(PAYLOAD, ec.ECDSA(hashes.SHA256()))
).decode()
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
    pytest.param(PAYLOAD, _der(0, 1), DIGEST, "not made", id="r is zero"),
    pytest.param(PAYLOAD, _der(1, 0), DIGEST, "not made", id="s is zero"),
    pytest.param(PAYLOAD, _der(N, S), DIGEST, "not made", id="r is n"),
    pytest.param(PAYLOAD, _der(R, N), DIGEST, "not made", id="s is n"),
    pytest.param(PAYLOAD, _der(R, S + N), DIGEST, "not made", id="s over n"),
    pytest.param(PAYLOAD, _TRAILING, DIGEST, "not made|too long", id="a byte after it"),
    pytest.param(PAYLOAD, _LONG_FORM, DIGEST, "not made|too long", id="BER"),
    pytest.param(PAYLOAD, _RAW, DIGEST, "not made", id="r and s without DER"),
    pytest.param(PAYLOAD, _OTHER_CURVE, DIGEST, "not made|too long", id="of P-384"),
    pytest.param(PAYLOAD, _der(1 << 300, S), DIGEST, "too long", id="a huge r"),
    pytest.param(_NOT_SIGNED, _signature(_NOT_SIGNED), DIGEST, "simple signing", id="no fields"),
    pytest.param(b"[]", _signature(b"[]"), DIGEST, "simple signing", id="not an object"),
    pytest.param(b"\xff", _signature(b"\xff"), DIGEST, "simple signing", id="not JSON"),
    pytest.param(_NESTED, _signature(_NESTED), DIGEST, "simple signing", id="nested"),
    pytest.param(_WRONG_TYPE, _signature(_WRONG_TYPE), DIGEST, "cosign's", id="another kind"),
]


@pytest.mark.parametrize(("signed", "signature", "digest", "says"), BAD)
def test_bad_signatures(signed: bytes, signature: str, digest: Digest, says: str) -> None:
    with pytest.raises(SignatureInvalid, match=says):
        verify(signed, signature, KEY.public, digest)


def test_either_s_holds_as_it_does_for_cosign() -> None:
    for s in (S, N - S):
        verify(PAYLOAD, _der(R, s), KEY.public, DIGEST)


def test_a_foreign_key() -> None:
    with pytest.raises(SignatureInvalid, match="not made with this key"):
        verify(PAYLOAD, _signature(), new_key().public, DIGEST)
