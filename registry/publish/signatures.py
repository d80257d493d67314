"""Signatures beside what they sign: cosign's tag, written for a manifest before its own tag is."""

from __future__ import annotations

import asyncio

from registry.signing import cosign
from registry.signing.keys import SigningKey
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown
from storage.manifest import Manifest
from storage.repositories import Repository


class Signer:
    """Signs manifests of repositories with one key; `host` is how the registry is known (`HOST[:PORT]`)."""

    def __init__(self, key: SigningKey, host: str) -> None:
        self.key = key
        self._host = host

    async def sign(self, repository: Repository, digest: Digest) -> None:
        """Store a manifest's signature under cosign's tag; what others signed stays, twice adds nothing."""
        tag = cosign.signature_tag(digest)
        signature = cosign.sign(f"{self._host}/{repository.name}", digest, self.key)
        new = cosign.signature_manifest(signature, await _existing(repository, tag))
        if new is None:
            return
        await asyncio.gather(repository.blobs.put(new.payload), repository.blobs.put(new.config))
        manifest = manifests.parse(new.manifest, manifests.OCI_MANIFEST)
        await repository.tag(tag, await repository.put(manifest, new.manifest, Digest.of(new.manifest)))


async def _existing(repository: Repository, tag: str) -> Manifest | None:
    """What the tag names now, where that is a manifest of signatures."""
    try:
        stored = await repository.get(tag)
    except ManifestUnknown:
        return None
    found = manifests.parse(stored.body, stored.descriptor.media_type)
    return None if found.is_index else found
