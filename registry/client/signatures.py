"""Copying the signatures of a manifest: cosign 2 keeps them under a tag, cosign 3 as referrers."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from registry.client import referrers
from registry.client.copying import Copier, Place, read, taking
from registry.client.evidence import BUNDLES, under_tag
from registry.signing.cosign import Signature, SignatureManifest, signature_manifest, signature_tag
from storage import manifest as manifests
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Manifest


@dataclass(frozen=True, slots=True)
class Copied:
    """How many signatures were copied, or were there already: under cosign's tag, and as bundles."""

    tagged: int
    bundles: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.tagged + self.bundles


def copy(copier: Copier, signed: Digest) -> Copied:
    """Copy all signatures of a manifest; what the destination signed itself stays.

    Raises RemoteError or Failure for what cannot be read, Refusal for what is not taken.
    """
    bundles = [
        entry for entry in referrers.find(copier.source, signed) if entry.artifact_type.startswith(BUNDLES)
    ]
    for entry in bundles:
        referrers.copy(copier, signed, entry)
    return Copied(_copy_tagged(copier, signature_tag(signed)), len(bundles))


def count(place: Place, signed: Digest) -> int:
    """How many signatures a manifest has in a repository."""
    fetched = under_tag(place, signature_tag(signed))
    tagged = len(read(fetched, str(place)).layers) if fetched else 0
    return tagged + sum(entry.artifact_type.startswith(BUNDLES) for entry in referrers.find(place, signed))


def _copy_tagged(copier: Copier, tag: str) -> int:
    """Copy the manifest under cosign's tag, or add its signatures to those that are there."""
    fetched = under_tag(copier.source, tag)
    if fetched is None:
        return 0
    given = read(fetched, str(copier.source))
    with taking():
        there = under_tag(copier.destination, tag)
    if there is None:
        copier.blobs(given.blobs(), lambda _: None)
        copier.manifest(fetched, tag)
    elif there.digest != fetched.digest:
        copier.blobs(given.layers, lambda _: None)
        _merge(copier, given, read(there, str(copier.destination)), tag)
    return len(given.layers)


def _merge(copier: Copier, given: Manifest, there: Manifest, tag: str) -> None:
    merged: SignatureManifest | None = None
    for layer in given.layers:
        payload = b""  # its blob is copied already
        added = signature_manifest(Signature(payload, layer), there)
        if added:
            merged, there = added, manifests.parse(added.manifest, OCI_MANIFEST)
    if merged is None:
        return
    remote, repository = copier.destination.remote, copier.destination.repository
    with taking():
        remote.put_blob(repository, Digest.of(merged.config), len(merged.config), BytesIO(merged.config))
        remote.put_manifest(repository, tag, merged.manifest, OCI_MANIFEST)
