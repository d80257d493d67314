from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from registry.signing import dsse
from registry.signing.bundle import (
    BUNDLE_TYPE,
    EMPTY,
    LARGEST,
    SIGNED,
    Attached,
    Opened,
    Statement,
    attest,
    seal,
    sign,
    verify,
)
from registry.signing.keys import SignatureInvalid, new_key
from storage.digest import Digest
from storage.manifest import EMPTY_JSON, OCI_INDEX, OCI_MANIFEST, Descriptor, parse

DIGEST = Digest.of(b"an image")
SUBJECT = Descriptor(OCI_INDEX, DIGEST, 8)
OTHER = Digest.of(b"another image")
KEY = new_key()
MADE = sign(SUBJECT, KEY)


def test_the_statement_as_cosign_writes_it() -> None:
    assert Statement(DIGEST, SIGNED, {}).payload() == (
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"'
        + DIGEST.hex.encode()
        + b'"},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}'
    )


def test_the_bundle_field_by_field() -> None:
    document = json.loads(MADE.bundle)
    assert list(document) == ["mediaType", "verificationMaterial", "dsseEnvelope"]
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = base64.b64encode(bytes.fromhex(KEY.key_id)).decode()
    assert document["verificationMaterial"] == {"publicKey": {"hint": hint}}
    assert document["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"


def test_the_manifest_field_by_field() -> None:
    assert json.loads(MADE.manifest) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE_TYPE,
        "config": {
            "mediaType": EMPTY_JSON,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
            "artifactType": BUNDLE_TYPE,
        },
        "layers": [
            {"mediaType": BUNDLE_TYPE, "digest": str(Digest.of(MADE.bundle)), "size": len(MADE.bundle)}
        ],
        "subject": {"mediaType": OCI_INDEX, "digest": str(DIGEST), "size": 8},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": SIGNED,
        },
    }
    assert Digest.of(EMPTY) == Digest.parse(
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )
    assert (MADE.digest, MADE.subject) == (Digest.of(MADE.manifest), DIGEST)
    assert parse(MADE.manifest, OCI_MANIFEST).referrer_type == BUNDLE_TYPE


def test_replicas_write_the_same() -> None:
    assert sign(SUBJECT, KEY) == MADE


def test_what_was_signed_comes_back() -> None:
    opened = verify(MADE.bundle, [new_key().public, KEY.public], DIGEST)
    assert opened == Opened(Statement(DIGEST, SIGNED, {}), opened.statement.payload(), KEY.public)
    said = Statement(DIGEST, "https://example.com/x", {"by": "Zoë"}, "here/team/wasm")
    made = attest(SUBJECT, said.payload(), said.kind, KEY)
    assert verify(made.bundle, [KEY.public], DIGEST) == Opened(said, said.payload(), KEY.public)
    assert isinstance(made, Attached)


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(MADE.bundle) | changes).encode()


def signed(payload: bytes, payload_type: str = dsse.STATEMENT) -> bytes:
    envelope = dsse.seal(payload, KEY, payload_type).to_json()
    return changed(dsseEnvelope=envelope)


def statement(**changes: Any) -> bytes:
    return signed(json.dumps(json.loads(Statement(DIGEST, SIGNED, {}).payload()) | changes).encode())


FOREIGN = json.loads(seal(Statement(DIGEST, SIGNED, {}).payload(), new_key()))["dsseEnvelope"]
BAD = [
    pytest.param(b"", "no JSON object", id="empty"),
    pytest.param(b"[]", "no JSON object", id="a list"),
    pytest.param(b"[" * 100_000, "no JSON object", id="nested"),
    pytest.param(b" " * LARGEST + MADE.bundle, "too large", id="huge"),
    pytest.param(changed(mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"), "not one of", id="0.4"),
    pytest.param(changed(dsseEnvelope=None), "not one of DSSE", id="no envelope"),
    pytest.param(changed(dsseEnvelope=FOREIGN), "not made with this key", id="a foreign key with our hint"),
    pytest.param(changed(verificationMaterial={"publicKey": {"hint": "x"}}), "another key", id="other hint"),
    pytest.param(changed(verificationMaterial={"certificate": {}}), "with a key", id="a certificate"),
    pytest.param(changed(verificationMaterial=None), "with a key", id="no material"),
    pytest.param(signed(b"{}", "text/plain"), "holds no in-toto", id="another payload type"),
    pytest.param(signed(b"[]"), "no JSON object", id="no statement"),
    pytest.param(signed(b"{}"), "not one of in-toto", id="an empty statement"),
    pytest.param(statement(_type="https://in-toto.io/Statement/v0.1"), "not one of in-toto", id="v0.1"),
    pytest.param(statement(predicateType=None), "not one of in-toto", id="no predicate type"),
    pytest.param(statement(predicate=[]), "not one of in-toto", id="no predicate"),
    pytest.param(statement(subject=[]), "another manifest", id="no subject"),
    pytest.param(statement(subject={}), "another manifest", id="a subject that is no list"),
    pytest.param(statement(subject=[1, {"digest": "x"}]), "another manifest", id="odd subjects"),
    pytest.param(statement(subject=[{"digest": {"sha512": DIGEST.hex}}]), "another manifest", id="sha512"),
]


@pytest.mark.parametrize(("bundle", "says"), BAD)
def test_bad_bundles(bundle: bytes, says: str) -> None:
    with pytest.raises(SignatureInvalid, match=says):
        verify(bundle, [KEY.public], DIGEST)


def test_moved_to_another_digest_or_under_a_foreign_key() -> None:
    with pytest.raises(SignatureInvalid, match="another manifest"):
        verify(MADE.bundle, [KEY.public], OTHER)
    with pytest.raises(SignatureInvalid, match="another key"):
        verify(MADE.bundle, [new_key().public], DIGEST)
