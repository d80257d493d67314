"""Signatures in the form of cosign 2: an image manifest under the tag `sha256-<hex>.sig`.

The payload is "simple signing" (containers/image, docs/containers-signature.5.md), the manifest as
cosign's specs/SIGNATURE_SPEC.md has it. Everything here is bytes in, bytes out; the same input
gives the same bytes, so replicas that sign at the same time write the same.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from registry.signing.keys import PublicKey, SignatureInvalid, SigningKey
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor, Manifest

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_KIND = "cosign container image signature"
_MAX_BASE64 = 100
_NEVER = "0001-01-01T00:00:00Z"
_TAG = re.compile(r"sha256-([0-9a-f]{64})\.sig")


@dataclass(frozen=True, slots=True)
class Signature:
    """A payload and the layer that names and signs it."""

    payload: bytes
    layer: Descriptor


@dataclass(frozen=True, slots=True)
class SignatureManifest:
    """What to store, in this order: the payload, the config, then the manifest under the tag."""

    payload: bytes
    config: bytes
    manifest: bytes

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """The blobs that the manifest names."""
        return self.payload, self.config


def signature_tag(digest: Digest) -> str:
    """The tag under which cosign 2 looks for the signatures of a manifest."""
    return f"{digest.algorithm}-{digest.hex}.sig"


def signed_by(tag: str) -> Digest | None:
    """The digest whose signatures a tag is for; None for a tag of another kind."""
    found = _TAG.fullmatch(tag)
    return Digest("sha256", found[1]) if found else None


def payload(docker_reference: str, digest: Digest) -> bytes:
    """What is signed: that the repository (host and name, no tag) has the manifest of that digest."""
    return _json(
        {
            "critical": {
                "identity": {"docker-reference": docker_reference},
                "image": {"docker-manifest-digest": str(digest)},
                "type": _KIND,
            },
            "optional": None,
        }
    )


def sign(docker_reference: str, digest: Digest, key: SigningKey) -> Signature:
    """Sign a manifest's digest."""
    signed = payload(docker_reference, digest)
    encoded = base64.b64encode(key.sign(signed)).decode()
    return Signature(
        signed, Descriptor(PAYLOAD_TYPE, Digest.of(signed), len(signed), annotations={SIGNATURE: encoded})
    )


def signature_manifest(signature: Signature, existing: Manifest | None = None) -> SignatureManifest | None:
    """The manifest that holds a signature besides those of `existing`, the one that the tag names now.

    Other tools' signatures stay as they are and come first. None when the same signature is there.
    """
    kept = existing.layers if existing else ()
    if any(_same(layer, signature.layer) for layer in kept):
        return None
    layers = (*kept, signature.layer)
    config = _config(layers)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(CONFIG_TYPE, Digest.of(config), len(config)).to_json(),
        "layers": [replace(layer, platform=None).to_json() for layer in layers],
    }
    if existing and existing.subject:
        document["subject"] = existing.subject.to_json()
    if existing and existing.artifact_type:
        document["artifactType"] = existing.artifact_type
    if existing and existing.annotations:
        document["annotations"] = dict(existing.annotations)
    return SignatureManifest(signature.payload, config, _json(document))


def verify(signed: bytes, signature_b64: str, key: PublicKey, digest: Digest) -> None:
    """Check a payload, its signature and that it speaks of `digest`; raises SignatureInvalid."""
    if len(signature_b64) > _MAX_BASE64:
        raise SignatureInvalid("the signature is too long to be one of P-256.")
    try:
        signature = base64.b64decode(signature_b64, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureInvalid("the signature is not base64.") from None
    key.verify(signature, signed)
    # Only what is signed is read, and only after that.
    if _named_digest(signed) != str(digest):
        raise SignatureInvalid(f"the signature is for another manifest than {digest}.")


def _named_digest(signed: bytes) -> str:
    try:
        critical = json.loads(signed)["critical"]
        named, kind = critical["image"]["docker-manifest-digest"], critical["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SignatureInvalid("the payload is not one of simple signing.") from None
    if kind != _KIND or not isinstance(named, str):
        raise SignatureInvalid("the payload is not one of cosign's.")
    return named


def _same(layer: Descriptor, ours: Descriptor) -> bool:
    return layer.digest == ours.digest and layer.annotations.get(SIGNATURE) == ours.annotations[SIGNATURE]


def _config(layers: Sequence[Descriptor]) -> bytes:
    """The config that go-containerregistry writes for such layers: they are not compressed."""
    return _json(
        {
            "architecture": "",
            "created": _NEVER,
            "history": [{"created": _NEVER} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
            "config": {},
        }
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
