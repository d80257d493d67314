"""Signatures beside what they sign: cosign's tag, written for a manifest before its own tag is."""

from __future__ import annotations

import asyncio

from registry.consumers import attachments
from registry.signing import cosign
from registry.signing.keys import SigningKey
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown
from storage.manifest import Manifest
from storage.repositories import Repository, StoredManifest


class Signer:
    """Signs manifests of repositories with one key; `host` is how the registry is known (`HOST[:PORT]`)."""

    def __init__(self, key: SigningKey, host: str) -> None:
        self.key = key
        self.host = host

    async def store(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        """Store the manifest of signatures that cosign's tag is to name; None when it names ours already.

        What others signed stays in it. Whoever calls stores what is signed, and so enters the catalog.
        """
        signature = cosign.sign(f"{self.host}/{repository.name}", digest, self.key)
        existing = await _existing(repository, cosign.signature_tag(digest))
        new = cosign.signature_manifest(signature, existing)
        if new is None:
            return None
        parts = (new.payload, new.config)
        if existing and existing.subject:
            manifest = manifests.parse(new.manifest, manifests.OCI_MANIFEST)
            await asyncio.gather(*map(repository.blobs.put, parts))
            return await repository.put(manifest, new.manifest, Digest.of(new.manifest))
        return await repository.put_with_blobs(manifests.OCI_MANIFEST, new.manifest, parts)


async def _existing(repository: Repository, tag: str) -> Manifest | None:
    """What the tag names now, where that is a manifest of signatures."""
    try:
        stored = await repository.get(tag)
    except ManifestUnknown:
        return None
    found = manifests.parse(stored.body, stored.descriptor.media_type)
    # Whatever else somebody has put under that name is no part of ours: it would pass unjudged.
    return found if attachments.is_attachment(found) else None
