from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from registry.signing import bundle, cosign, dsse
from registry.signing.admission import ADMITTED
from registry.signing.bundle import SIGNED, Statement
from registry.signing.keys import new_key
from registry.signing.verification import LARGEST_PAYLOAD, Candidate, Finding, check, signer
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor

DIGEST, OTHER, AT = (Digest.of(said) for said in (b"an image", b"another image", b"what holds it"))
KEY, FOREIGN, STRANGER = new_key(), new_key(), new_key()
KEYS = (FOREIGN.public, KEY.public)
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def tagged(payload: bytes, signature: bytes | str | None = None) -> Candidate:
    """A signature under cosign's tag: by KEY where nothing else is said."""
    raw = KEY.sign(payload) if signature is None else signature
    return Candidate("tag", AT, payload, raw if isinstance(raw, str) else base64.b64encode(raw).decode())


def sealed(payload: bytes, signature: bytes | None = None, /, **changes: Any) -> Candidate:
    """A bundle by KEY, or with that signature in it."""
    document = json.loads(bundle.seal(payload, KEY))
    if signature is not None:
        document["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode()}]
    document["dsseEnvelope"] |= changes
    return Candidate("bundle", AT, json.dumps(document).encode())


def statement(digest: Digest = DIGEST, kind: str = SIGNED) -> bytes:
    return Statement(digest, kind, {}).payload()


PAYLOAD = cosign.payload("plugins.example.com/acme/wasm", DIGEST)
GOOD_TAG, GOOD_BUNDLE = tagged(PAYLOAD), sealed(statement())


def by_another_curve(data: bytes) -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).sign(data, ec.ECDSA(hashes.SHA256()))


def wrong(data: bytes) -> dict[str, bytes]:
    """Signatures over `data` that are none, by name."""
    good = KEY.sign(data)
    r, s = decode_dss_signature(good)
    der = encode_dss_signature
    # A number whose first bit is set and has no zero before it is negative in DER.
    negative = b"\x30\x44\x02\x20" + (N - 1).to_bytes(32, "big") + b"\x02\x20" + (N - 1).to_bytes(32, "big")
    return {
        "of the wrong curve": by_another_curve(data),
        "r is zero": der(0, s),
        "s is zero": der(r, 0),
        "both are zero": der(0, 0),
        "r is one, s is one": der(1, 1),
        "r is n": der(N, s),
        "s is n": der(r, N),
        "r over n": der(r + N, s),
        "s over n": der(r, s + N),
        "negative numbers": negative,
        "huge numbers": der(1 << 2000, 1 << 2000),
        "not DER": b"no DER",
        "raw": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        "trailing bytes": good + b"\0",
        "trailing bytes in the sequence": bytes([good[0], good[1] + 2]) + good[2:] + b"\x05\x00",
        "BER": b"\x30\x81" + good[1:],
        "cut off": good[:-1],
        "empty": b"",
        "huge": bytes(1 << 20),
        "over its hash": KEY.sign(Digest.of(data).hex.encode()),
        "by a foreign key": STRANGER.sign(data),
        "over something else": KEY.sign(b"something else"),
    }


BAD = {
    **{f"tag, {name}": tagged(PAYLOAD, one) for name, one in wrong(PAYLOAD).items()},
    **{
        f"bundle, {name}": sealed(statement(), one)
        for name, one in wrong(dsse.encoding(dsse.STATEMENT, statement())).items()
    },
    "tag, broken base64": tagged(PAYLOAD, GOOD_TAG.signature[:-2] + "?="),
    "tag, base64 with a line break": tagged(
        PAYLOAD, GOOD_TAG.signature[:20] + "\n" + GOOD_TAG.signature[20:]
    ),
    "tag, base64 for URLs": tagged(PAYLOAD, "-_" + GOOD_TAG.signature[2:]),
    "tag, no signature": replace(GOOD_TAG, signature=""),
    "tag, a payload of another digest": tagged(cosign.payload("acme/wasm", OTHER)),
    "tag, another payload under the signature": replace(
        GOOD_TAG, data=cosign.payload("plugins.example.com/acme/wasm", OTHER)
    ),
    "tag, another type": tagged(PAYLOAD.replace(b"cosign container", b"atomic container")),
    "tag, no type": tagged(
        json.dumps({"critical": {"image": {"docker-manifest-digest": str(DIGEST)}}}).encode()
    ),
    "tag, no JSON": tagged(b"\xff"),
    "tag, nested": tagged(b"[" * 10_000),
    "tag, a huge payload": tagged(PAYLOAD + b" " * LARGEST_PAYLOAD),
    "tag, nothing there": replace(GOOD_TAG, data=b""),
    "tag, said to be absent": replace(GOOD_TAG, absent="it is gone."),
    "tag, a statement": tagged(statement()),
    "bundle, of another digest": sealed(statement(OTHER)),
    "bundle, an attestation": sealed(statement(kind=ADMITTED)),
    "bundle, signed without its type": sealed(statement(), KEY.sign(statement())),
    "bundle, signed as another type": sealed(statement(), KEY.sign(dsse.encoding("text/plain", statement()))),
    "bundle, another payload type": sealed(statement(), payloadType="text/plain"),
    "bundle, no payload type": sealed(statement(), payloadType=None),
    "bundle, another payload under the signature": sealed(
        statement(), payload=base64.b64encode(statement(OTHER)).decode()
    ),
    "bundle, without subject": sealed(
        json.dumps({**json.loads(statement()), "subject": []}).encode(),
    ),
    "bundle, two signatures": sealed(
        statement(), signatures=json.loads(GOOD_BUNDLE.data)["dsseEnvelope"]["signatures"] * 2
    ),
    "bundle, no signatures": sealed(statement(), signatures=[]),
    "bundle, broken base64": sealed(statement(), signatures=[{"sig": "?"}]),
    "bundle, a payload of cosign's tag": sealed(PAYLOAD),
    "bundle, under our hint by a foreign key": Candidate(
        "bundle",
        AT,
        bundle.seal(statement(), STRANGER).replace(STRANGER.public.hint.encode(), KEY.public.hint.encode()),
    ),
    "bundle, by a foreign key": Candidate("bundle", AT, bundle.seal(statement(), STRANGER)),
    "bundle, huge": replace(GOOD_BUNDLE, data=GOOD_BUNDLE.data + b" " * bundle.LARGEST),
    "bundle, nothing there": Candidate("bundle", AT),
    "bundle, a manifest": Candidate(
        "bundle", AT, bundle.sign(Descriptor(OCI_MANIFEST, DIGEST, 8), KEY).manifest
    ),
    "bundle, said to be a payload": replace(GOOD_BUNDLE, form="tag"),
    "tag, said to be a bundle": replace(GOOD_TAG, form="bundle"),
}


@pytest.mark.parametrize("candidate", [GOOD_TAG, GOOD_BUNDLE], ids=["tag", "bundle"])
def test_a_signature(candidate: Candidate) -> None:
    assert check(candidate, KEYS, DIGEST) == Finding(candidate.form, AT, KEY.public)
    assert check(candidate, KEYS[::-1], DIGEST).ok
    assert not check(candidate, KEYS, OTHER).ok
    assert not check(candidate, (), DIGEST).ok
    foreign = check(candidate, KEYS[:1], DIGEST)
    assert (foreign.key, foreign.ok) == (None, False)
    assert "the key" in foreign.problem
    assert "2 keys" in check(candidate, (FOREIGN.public, STRANGER.public), DIGEST).problem


@pytest.mark.parametrize("name", BAD)
def test_what_is_none(name: str) -> None:
    found = check(BAD[name], KEYS, DIGEST)
    assert (found.key, found.ok) == (None, False)
    assert found.problem


def test_each_says_what_is_wrong() -> None:
    said = {name: check(candidate, KEYS, DIGEST).problem for name, candidate in BAD.items()}
    assert "another manifest" in said["tag, a payload of another digest"]
    assert "another manifest" in said["bundle, of another digest"]
    assert ADMITTED in said["bundle, an attestation"]
    assert said["tag, said to be absent"] == "it is gone."


def test_who_signed() -> None:
    bad, good = (check(one, KEYS, DIGEST) for one in (BAD["tag, no JSON"], GOOD_TAG))
    assert signer([]) is None
    assert signer([bad]) is None
    assert signer([bad, good]) is KEY.public
