"""Signatures beside what they sign: cosign's tag, written for a manifest before its own tag is."""

from __future__ import annotations

from dataclasses import dataclass

from registry.consumers import attachments
from registry.signing import cosign
from registry.signing.cosign import SignatureManifest
from registry.signing.keys import SigningKey
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.manifest import Manifest
from storage.repositories import Repository, StoredManifest
from storage.together import together

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Begun:
    """A signature whose parts are stored: `manifest` names them, None where the tag names it already.

    `held` is what cosign's tag was then; a subject of others' making is in `manifest` too.
    """

    digest: Digest
    manifest: SignatureManifest | None
    held: bytes | None
    has_subject: bool = False


class Signer:
    """Signs manifests of repositories with one key; `host` is how the registry is known (`HOST[:PORT]`)."""

    def __init__(self, key: SigningKey, host: str) -> None:
        self.key = key
        self.host = host

    async def begin(self, repository: Repository, digest: Digest) -> Begun:
        """Store the parts of a signature. What others signed stays in its manifest."""
        signature = cosign.sign(f"{self.host}/{repository.name}", digest, self.key)
        alone = cosign.signature_manifest(signature)
        assert alone is not None
        # Most are signed for the first time: the parts are written while that is looked for.
        _, (held, existing) = await together(
            repository.blobs.enclose(*alone.parts), _existing(repository, cosign.signature_tag(digest))
        )
        if existing is None:
            return Begun(digest, alone, held)
        new = cosign.signature_manifest(signature, existing)
        if new is not None:
            await repository.blobs.enclose(*new.parts)
        return Begun(digest, new, held, has_subject=existing.subject is not None)

    async def store(self, repository: Repository, begun: Begun) -> StoredManifest | None:
        """Store the manifest of a signature that was begun; None where it is there.

        Whoever calls stores what is signed, and so enters the catalog.
        """
        if begun.manifest is None:
            return None
        body = begun.manifest.manifest
        if begun.has_subject:
            return await repository.put(manifests.parse(body, manifests.OCI_MANIFEST), body, Digest.of(body))
        return await repository.store_beside(manifests.OCI_MANIFEST, body)

    async def publish(
        self, repository: Repository, begun: Begun, stored: StoredManifest | None
    ) -> StoredManifest | None:
        """Let cosign's tag name a signature that was stored; the one that it names then.

        Where somebody else has signed meanwhile, theirs and ours are in one manifest. What was signed before
        is looked for again, once its manifest is there: garbage collection takes the signature of a manifest
        that goes, and then looks for manifests.
        """
        tag = cosign.signature_tag(begun.digest)
        if stored is None:
            begun = await self.begin(repository, begun.digest)
            stored = await self.store(repository, begun)
        for _ in range(_TRIES):
            if stored is None or await repository.tags.move(tag, stored.descriptor, begun.held):
                return stored
            begun = await self.begin(repository, begun.digest)
            stored = await self.store(repository, begun)
        raise StoreUnavailable(f"the tag {tag!r} is being moved by others.", fix="Push again.")


async def _existing(repository: Repository, tag: str) -> tuple[bytes | None, Manifest | None]:
    """What the tag is now, and what it names where that is a manifest of signatures."""
    held = await repository.tags.held(tag)
    if held is None:
        return None, None
    try:
        stored = await repository.get(tag)
    except ManifestUnknown:
        return held, None
    found = manifests.parse(stored.body, stored.descriptor.media_type)
    # Whatever else somebody has put under that name is no part of ours: it would pass unjudged.
    return held, found if attachments.is_attachment(found) else None
