"""What of ours goes with a manifest that is deleted: its signatures in both forms.

What others attached stays: it is theirs to delete, and holds again when the manifest is pushed again. So
does a manifest under cosign's tag in which somebody else has signed too.
"""

from __future__ import annotations

import contextlib

from registry.publish import ours
from registry.publish.ours import Tagged
from registry.publish.signatures import Signer
from registry.signing import cosign
from registry.signing.ring import KeyRing
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown
from storage.repositories import Repository, StoredManifest


async def withdraw(repository: Repository, digest: Digest, signer: Signer) -> None:
    """Remove the signatures of a manifest that was deleted: the bundles, cosign's tag, what that named.

    Who pushes the manifest again and does not find cosign's tag writes all anew, and looks last for what
    that names. Who finds it may think that all is signed, so this looks for the manifest at the end, and puts
    back what it took.
    """
    ring, tag = signer.ring, cosign.signature_tag(digest)
    taken = [found.stored for found in await ours.bundles(repository, digest, ring)]
    for stored in taken:
        await _remove(repository, stored.digest)
    tagged = await ours.tagged(repository, digest)
    is_ours = tagged.stored and await _is_ours(repository, tagged, digest, ring)
    if tagged.stored and tagged.held and is_ours:
        if await repository.tags.delete_held(tag, tagged.held):
            taken.append(tagged.stored)
            await _remove(repository, tagged.stored.digest)
    elif tagged.held is None:
        await _remove(repository, signer.alone(repository, digest))  # where this ended before it
    try:
        await repository.find(digest)
    except ManifestUnknown:
        return
    for stored in taken:
        await repository.put(_parsed(stored), stored.body, stored.digest)
    if tagged.stored in taken and tagged.stored:
        await repository.tags.move(tag, tagged.stored.descriptor, None)


async def _remove(repository: Repository, digest: Digest) -> None:
    with contextlib.suppress(ManifestUnknown):
        await repository.remove(digest)


async def _is_ours(repository: Repository, tagged: Tagged, digest: Digest, ring: KeyRing) -> bool:
    """Whether nobody else has signed there."""
    assert tagged.manifest
    found = await ours.layers(repository, tagged.manifest, digest, ring)
    return len(found) == len(tagged.manifest.layers)


def _parsed(stored: StoredManifest) -> manifests.Manifest:
    return manifests.parse(stored.body, stored.descriptor.media_type)
