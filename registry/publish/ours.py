"""What of ours is attached to a manifest: signatures under cosign's tag and bundles that refer to it.

Only what one of our keys has signed counts, read from what is stored now: the names and the annotations
of attachments are as anybody may have pushed them. All here raises StoreUnavailable where the store fails or
what is stored is damaged: what is not known is not taken for absent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from registry.consumers import attachments
from registry.signing import bundle, cosign
from registry.signing.bundle import BUNDLE_TYPE, Statement
from registry.signing.keys import PublicKey, SignatureInvalid
from registry.signing.ring import KeyRing
from registry.signing.verification import LARGEST_PAYLOAD, MOST
from storage import manifest as manifests
from storage import tags
from storage.digest import Digest
from storage.errors import BlobUnknown, ManifestInvalid, ManifestUnknown
from storage.manifest import Descriptor, Manifest
from storage.repositories import Repository, StoredManifest

_AT_ONCE = 16
_OTHER: Literal["other"] = "other"


@dataclass(frozen=True, slots=True)
class Tagged:
    """What cosign's tag is: its object `held`, and what that names, where it is a manifest of signatures."""

    held: bytes | None = None
    stored: StoredManifest | None = None
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle of ours: the manifest that holds it, what it says, the statement's bytes, who signed it."""

    stored: StoredManifest
    statement: Statement
    payload: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that signs a manifest: `layers` and `bundles` are those of ours, each verified.

    `other_bundles` counts those that are not.
    """

    tagged: Tagged
    layers: Sequence[tuple[Descriptor, PublicKey]]
    bundles: Sequence[Bundle]
    other_bundles: int

    @property
    def other_layers(self) -> int:
        """How many others have signed under cosign's tag."""
        found = self.tagged.manifest
        return len(_payloads(found)) - len(self.layers) if found else 0

    @property
    def is_by_tag(self) -> bool:
        """Whether cosign is to look under its tag: somebody else has signed there, and not as a bundle.

        It looks there only where no bundle refers to the manifest, were it one of ours.
        """
        return bool(self.other_layers and not self.other_bundles)


async def look(repository: Repository, digest: Digest, ring: KeyRing, there: Tagged | None = None) -> Known:
    """What signs a manifest; `there` is what is under cosign's tag, where that was looked at just now."""
    there = there or await tagged(repository, digest)
    mine, (of_ours, others) = await asyncio.gather(
        layers(repository, there.manifest, digest, ring) if there.manifest else _none(),
        _bundles(repository, digest, ring),
    )
    return Known(there, mine, of_ours, others)


async def tagged(repository: Repository, digest: Digest) -> Tagged:
    """What is under cosign's tag for a manifest."""
    tag = cosign.signature_tag(digest)
    held = await repository.tags.held(tag)
    if held is None:
        return Tagged()
    try:
        stored = await repository.get(tags.read(held, tag).named.digest)
        found = manifests.parse(stored.body, stored.descriptor.media_type)
    except (ManifestUnknown, ManifestInvalid):
        return Tagged(held)
    # Whatever else somebody has put under that name is no part of ours: it would pass unjudged.
    is_signatures = not found.is_index and attachments.is_attachment(found)
    return Tagged(held, stored, found) if is_signatures else Tagged(held)


async def layers(
    repository: Repository, found: Manifest, digest: Digest, ring: KeyRing
) -> list[tuple[Descriptor, PublicKey]]:
    """The layers of a manifest of signatures that one of our keys signed, for that digest, and which."""
    first = _payloads(found)[:MOST]
    keys = await asyncio.gather(*(_signer(repository, layer, digest, ring) for layer in first))
    return [(layer, key) for layer, key in zip(first, keys, strict=True) if key]


async def bundles(repository: Repository, digest: Digest, ring: KeyRing) -> list[Bundle]:
    """The bundles of ours that refer to a manifest, whether that is here or not."""
    return (await _bundles(repository, digest, ring))[0]


async def _bundles(repository: Repository, digest: Digest, ring: KeyRing) -> tuple[list[Bundle], int]:
    """Those of ours, and how many others there are."""
    found: list[Bundle] = []
    looked, others, after, more = 0, 0, "", True
    while more and looked < MOST:
        rows, after = await repository.referrers.page(digest, after=after, looks=False)
        rows = [row for row in rows if row.artifact_type == BUNDLE_TYPE][: MOST - looked]
        looked, more = looked + len(rows), bool(after)
        for at in range(0, len(rows), _AT_ONCE):
            batch = rows[at : at + _AT_ONCE]
            each = await asyncio.gather(*(_bundle(repository, row.digest, digest, ring) for row in batch))
            found += (one for one in each if isinstance(one, Bundle))
            others += each.count(_OTHER)
    return found, others


def _payloads(found: Manifest) -> list[Descriptor]:
    return [layer for layer in found.layers if layer.media_type == cosign.PAYLOAD_TYPE]


async def _none() -> list[tuple[Descriptor, PublicKey]]:
    return []


async def _bundle(
    repository: Repository, referrer: Digest, digest: Digest, ring: KeyRing
) -> Bundle | Literal["other"] | None:
    """A bundle of ours, or that it is another; None where it is not here."""
    try:
        stored = await repository.get(referrer)
        manifest = manifests.parse(stored.body, stored.descriptor.media_type)
        if len(manifest.layers) == 1:
            data = await small(repository, manifest.layers[0].digest, bundle.LARGEST)
            with contextlib.suppress(SignatureInvalid):
                opened = bundle.verify(data, ring, digest)
                return Bundle(stored, opened.statement, opened.payload, opened.key.key_id)
    except ManifestUnknown:
        return None
    except ManifestInvalid:
        return _OTHER
    return _OTHER


async def _signer(
    repository: Repository, layer: Descriptor, digest: Digest, ring: KeyRing
) -> PublicKey | None:
    payload = await small(repository, layer.digest, LARGEST_PAYLOAD)
    for key in ring if payload else ():
        with contextlib.suppress(SignatureInvalid):
            cosign.verify(payload, layer.annotations.get(cosign.SIGNATURE, ""), key, digest)
            return key
    return None


async def small(repository: Repository, digest: Digest, limit: int) -> bytes:
    """A blob of at most `limit` bytes; empty where it is larger or not here."""
    with contextlib.suppress(BlobUnknown):
        found = await repository.blobs.open(digest)
        if found.size <= limit:
            return b"".join([piece async for piece in repository.blobs.read(found)])
    return b""
