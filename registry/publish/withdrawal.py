"""What of ours goes with a manifest that is deleted: its signatures in both forms.

What others attached stays: it is theirs to delete, and holds again when the manifest is pushed again. So
does a manifest under cosign's tag in which somebody else has signed too.
"""

from __future__ import annotations

import contextlib

from registry.publish import ours
from registry.publish.ours import Tagged
from registry.signing import cosign
from registry.signing.ring import KeyRing
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown
from storage.repositories import Repository, StoredManifest


async def withdraw(repository: Repository, digest: Digest, ring: KeyRing) -> None:
    """Remove the signatures of a manifest that was deleted.

    Cosign's tag goes last: who pushes the manifest again and does not find it writes all anew. Who finds it
    may think that all is signed, so this looks for the manifest then, and puts back what it took.
    """
    taken = [found.stored for found in await ours.bundles(repository, digest, ring)]
    tagged = await ours.tagged(repository, digest)
    if tagged.stored and await _is_ours(repository, tagged, digest, ring):
        taken.append(tagged.stored)
    for stored in taken:
        with contextlib.suppress(ManifestUnknown):
            await repository.remove(stored.digest)
    tag = cosign.signature_tag(digest)
    was_tagged = tagged.stored in taken and await repository.tags.delete_held(tag, tagged.held or b"")
    try:
        await repository.find(digest)
    except ManifestUnknown:
        return
    for stored in taken:
        await repository.put(_parsed(stored), stored.body, stored.digest)
    if was_tagged and tagged.stored:
        await repository.tags.move(tag, tagged.stored.descriptor, None)


async def _is_ours(repository: Repository, tagged: Tagged, digest: Digest, ring: KeyRing) -> bool:
    """Whether nobody else has signed there."""
    assert tagged.manifest
    found = await ours.layers(repository, tagged.manifest, digest, ring)
    return len(found) == len(tagged.manifest.layers)


def _parsed(stored: StoredManifest) -> manifests.Manifest:
    return manifests.parse(stored.body, stored.descriptor.media_type)
