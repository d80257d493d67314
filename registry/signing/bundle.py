"""Signatures in the form of cosign 3: a sigstore bundle in a manifest that refers to what is signed.

The bundle is that of sigstore's protobuf-specs (`sigstore_bundle.proto`, v0.3) with a key's hint and a DSSE
envelope; its payload is an in-toto Statement v1 about the manifest's digest. A signature is the statement
of type SIGNED, which says nothing but that; attestations are statements of other types.
Everything here is bytes in, bytes out; the same statement and key give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.signing import dsse
from registry.signing.dsse import Envelope
from registry.signing.keys import OtherKey, PublicKey, SignatureInvalid, SigningKey
from storage.digest import Digest
from storage.manifest import EMPTY_JSON, OCI_MANIFEST, Descriptor

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"
EMPTY = b"{}"
LARGEST = 256 << 10
"""Bytes of a bundle that are looked into; one of ours has some 2,000."""

_STATEMENT = "https://in-toto.io/Statement/v1"
_CONTENT = "dev.sigstore.bundle.content"
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of a manifest: `predicate` is of the type `kind`."""

    digest: Digest
    kind: str
    predicate: Mapping[str, Any]
    name: str = ""

    def payload(self) -> bytes:
        """The statement as it is signed: without a name as cosign writes it."""
        named = {"name": self.name} if self.name else {}
        subject = named | {"digest": {self.digest.algorithm: self.digest.hex}, "annotations": {}}
        said = {"_type": _STATEMENT, "subject": [subject]}
        return _json(said | {"predicateType": self.kind, "predicate": dict(self.predicate)})


@dataclass(frozen=True, slots=True)
class Attached:
    """A bundle and the manifest by which it refers to its subject: EMPTY and `bundle` are what that names."""

    bundle: bytes
    manifest: bytes
    subject: Digest

    @property
    def digest(self) -> Digest:
        """What the manifest is called."""
        return Digest.of(self.manifest)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a bundle says, the statement's bytes, and the key that signed them."""

    statement: Statement
    payload: bytes
    key: PublicKey


def sign(signed: Descriptor, key: SigningKey) -> Attached:
    """Sign a manifest."""
    return attest(signed, Statement(signed.digest, SIGNED, {}).payload(), SIGNED, key)


def attest(signed: Descriptor, statement: bytes, kind: str, key: SigningKey) -> Attached:
    """Sign a statement about a manifest, whose predicate is of that type."""
    sealed = seal(statement, key)
    layer = Descriptor(BUNDLE_TYPE, Digest.of(sealed), len(sealed))
    config = Descriptor(EMPTY_JSON, Digest.of(EMPTY), len(EMPTY), artifact_type=BUNDLE_TYPE)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE_TYPE,
        "config": config.to_json(),
        "layers": [layer.to_json()],
        "subject": Descriptor(signed.media_type, signed.digest, signed.size).to_json(),
        "annotations": {_CONTENT: "dsse-envelope", _PREDICATE_TYPE: kind},
    }
    return Attached(sealed, _json(document), signed.digest)


def seal(statement: bytes, key: SigningKey) -> bytes:
    """The bundle that holds and signs a statement."""
    material = {"publicKey": {"hint": key.public.hint}}
    envelope = dsse.seal(statement, key).to_json()
    return _json({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def verify(bundle: bytes, keys: Iterable[PublicKey], digest: Digest) -> Opened:
    """What a bundle says of a manifest; one of `keys` must have signed it.

    The bundle's hint is not trusted: it only says which key is worth trying. Raises SignatureInvalid,
    OtherKey where it is signed with none of these.
    """
    if len(bundle) > LARGEST:
        raise SignatureInvalid("the bundle is too large to be looked into.")
    document = _object(bundle, "the bundle")
    if document.get("mediaType") != BUNDLE_TYPE:
        raise SignatureInvalid(f"the bundle is not one of {BUNDLE_TYPE}.")
    envelope = Envelope.from_json(document.get("dsseEnvelope"))
    if envelope.payload_type != dsse.STATEMENT:
        raise SignatureInvalid("the bundle's envelope holds no in-toto statement.")
    hint = _hint(document)
    key = next((key for key in keys if key.hint == hint), None)
    if key is None:
        raise OtherKey("the bundle was signed with another key.")
    envelope.verify(key)
    # Only what is signed is read, and only after that.
    return Opened(_statement(envelope.payload, digest), envelope.payload, key)


def _statement(payload: bytes, digest: Digest) -> Statement:
    document = _object(payload, "the statement")
    kind, predicate, subjects = (document.get(name) for name in ("predicateType", "predicate", "subject"))
    if document.get("_type") != _STATEMENT or not isinstance(kind, str) or not isinstance(predicate, dict):
        raise SignatureInvalid("the statement is not one of in-toto v1.")
    for subject in subjects if isinstance(subjects, list) else ():
        digests = subject.get("digest") if isinstance(subject, dict) else None
        if isinstance(digests, dict) and digests.get(digest.algorithm) == digest.hex:
            return Statement(digest, kind, predicate, str(subject.get("name", "")))
    raise SignatureInvalid(f"the statement is about another manifest than {digest}.")


def _hint(document: Mapping[str, Any]) -> Any:
    try:
        return document["verificationMaterial"]["publicKey"]["hint"]
    except (KeyError, TypeError):
        raise SignatureInvalid("the bundle was not signed with a key.") from None


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SignatureInvalid(f"{what} is no JSON object.")
    return document


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
