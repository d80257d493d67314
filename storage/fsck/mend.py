"""Mending: what can be put right without loss, one finding at a time.

Nothing is destroyed: what is taken away is moved to the trash, and only as it was when it was looked at.
A server may make it right at the same moment; so what was taken is looked at once more afterwards, and
comes back where it is needed after all.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from storage import kept, paths, records, referrers, tags
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.fsck import keys
from storage.fsck.finding import Finding, Kind
from storage.fsck.hashing import Hashing
from storage.fsck.look import Looker
from storage.kept import Kept
from storage.manifest import Descriptor
from storage.trash import Trash


@dataclass(frozen=True, slots=True)
class Suspect:
    """A finding, and when its object was written (Unix seconds, the store's clock; None: it is not there)."""

    finding: Finding
    modified: float | None


class Mender:
    """Mends what a `Looker` finds."""

    def __init__(self, driver: Driver, looker: Looker, hashing: Hashing) -> None:
        self._driver = driver
        self._looker = looker
        self._hashing = hashing
        self._taken: list[tuple[str, str]] = []

    async def mend(self, suspect: Suspect) -> bool:
        """Put it right; whether it is. Raises StoreError."""
        try:
            return await self._mend(suspect)
        except (ObjectMissing, ObjectChanged):  # somebody else is at it
            return False

    async def settle(self) -> None:
        """Look once more at what was taken away since, and bring back what is needed after all."""
        taken, self._taken = self._taken, []
        for key, target in taken:
            await self._bring_back_if_needed(key, target)

    async def _mend(self, suspect: Suspect) -> bool:
        key, place = suspect.finding.key, keys.read(suspect.finding.key)
        match suspect.finding.kind, place:
            case Kind.WRONG_BYTES, keys.Bytes(digest):
                return await self._bytes_back(digest) or await self._take(suspect, paths.damaged(key))
            case Kind.MISSING_BYTES, keys.Link(_, digest):
                return await self._bytes_back(digest) or await self._take(suspect, paths.trash(key))
            case Kind.WRONG_LINK, keys.Link(_, digest):
                return await self._link_anew(key, digest) or await self._take(suspect, paths.damaged(key))
            case Kind.WRONG_MANIFEST, keys.ManifestAt():
                return await self._manifest_anew(key, place) or await self._take(suspect, paths.damaged(key))
            case Kind.INCOMPLETE_MANIFEST, keys.ManifestAt():
                return await self._complete(key, place)
            case Kind.WRONG_TAG, keys.Tag():
                return await self._tag_anew(key, place) or await self._take(suspect, paths.damaged(key))
            case ((Kind.MISSING_REFERRER | Kind.WRONG_REFERRER), (keys.ManifestAt() | keys.Row())):
                return await self._row_anew(place)
            case Kind.MISSING_ENTRY, keys.Entry():
                with contextlib.suppress(ObjectExists):
                    await self._driver.create(key, b"")
                return True
            case (
                (
                    Kind.DANGLING_TAG
                    | Kind.DANGLING_REFERRER
                    | Kind.EARLY_REFERRER
                    | Kind.EMPTY_ENTRY
                    | Kind.STRAY
                ),
                _,
            ):
                return await self._take(suspect, paths.trash(key))
            case _:
                return False

    async def _take(self, suspect: Suspect, target: str) -> bool:
        """Move an object away as it was when it was looked at; whether it is away for good."""
        key, modified = suspect.finding.key, suspect.modified
        if modified is None:
            return False
        if not await self._driver.move(key, target, before=_just_after(modified)):
            return True
        self._taken.append((key, target))
        return not await self._bring_back_if_needed(key, target)

    async def _bring_back_if_needed(self, key: str, target: str) -> bool:
        """Put an object back that a server counts on by now; whether it was."""
        if target == paths.damaged(key):
            return False
        if await self._looker.has(key) or not await self._is_needed(key, target):
            return False
        return await self._driver.move(target, key)

    async def _is_needed(self, key: str, target: str) -> bool:
        match keys.read(key):
            case keys.Link(_, digest):
                # A push stores the bytes, then makes sure of the link that was still there.
                return await self._looker.has(paths.blob(digest))
            case keys.Tag(repository, _):
                with contextlib.suppress(ObjectMissing, StoreUnavailable):
                    record, _ = records.split(await self._driver.get(target))
                    named = records.read_descriptor(record, key)
                    return await self._looker.has(paths.manifest(repository, named.digest))
            case keys.Row(repository, subject, digest):
                with contextlib.suppress(ObjectMissing):
                    found = await self._looker.stored(keys.ManifestAt(repository, digest))
                    return found is not None and _refers(found[1].subject, subject)
            case keys.Entry(repository):
                return await self._looker.has_content(repository)
        return False

    async def _bytes_back(self, digest: Digest) -> bool:
        """Put the bytes of a digest back from the trash, where they are right."""
        key = paths.blob(digest)
        with contextlib.suppress(ObjectMissing):
            if await self._hashing.holds(paths.trash(key), digest):
                return await self._driver.move(paths.trash(key), key)
        return False

    async def _link_anew(self, key: str, digest: Digest) -> bool:
        """Write a link anew from the bytes; where they are wrong they go too."""
        held, content = await self._driver.get(key), paths.blob(digest)
        with contextlib.suppress(ObjectMissing):
            modified = (await self._driver.stat(content)).modified
            found = await self._hashing.hashed(content, digest.algorithm)
            if found.digest == digest:
                await self._driver.replace(key, records.write_size(found.size), held)
                return True
            await self._driver.move(content, paths.damaged(content), before=_just_after(modified))
        return False

    async def _manifest_anew(self, key: str, place: keys.ManifestAt) -> bool:
        """Write the record of a manifest that is right again, or put the manifest back from the trash."""
        held, found = await self._driver.get(key), await kept.load(self._driver, key, place.digest)
        if record := _described(found, place.digest):
            await self._driver.replace(key, found.again(record), held)
            return True
        with contextlib.suppress(ObjectMissing):
            if _described(await kept.load(self._driver, paths.trash(key), place.digest), place.digest):
                return await self._driver.move(paths.trash(key), key)
        return False

    async def _complete(self, key: str, place: keys.ManifestAt) -> bool:
        """Put back what a manifest names and the trash has."""
        found = await self._looker.stored(place)
        if found is None:
            return False
        for blob in found[1].blobs():
            await self._link_back(place.repository, blob.digest)
        for child in found[1].manifests:
            if not await self._looker.has(paths.manifest(place.repository, child.digest)):
                with contextlib.suppress(ManifestUnknown):
                    await Trash(self._driver, place.repository).restore(child.digest)
        left = await self._looker.look(key)
        return all(finding.kind is not Kind.INCOMPLETE_MANIFEST for finding in left)

    async def _link_back(self, repository: str, digest: Digest) -> None:
        """Put a link back, where its bytes are here or can be put back too."""
        link = paths.blob_link(repository, digest)
        for held in (paths.unlinked(repository, digest), paths.trash(link)):
            if await self._looker.has(link):
                return
            with contextlib.suppress(ObjectMissing):
                _, enclosed = records.split(await self._driver.get(held))
                has_bytes = enclosed is not None or await self._looker.has(paths.blob(digest))
                if has_bytes or await self._bytes_back(digest):
                    await self._driver.move(held, link)

    async def _tag_anew(self, key: str, place: keys.Tag) -> bool:
        """Write a tag anew from the manifest that it names, with what it named before where that is right."""
        held = await self._driver.get(key)
        record, lines = records.split(held)
        try:
            named = records.read_descriptor(record, key)
            found = await self._looker.stored(keys.ManifestAt(place.repository, named.digest))
        except (StoreUnavailable, ObjectMissing):
            return False
        if found is None:
            return False
        descriptor = Descriptor(found[0].media_type, named.digest, found[0].size)
        anew = tags.described(record, descriptor, key)
        if lines is not None:
            with contextlib.suppress(StoreUnavailable):
                tags.read(records.enclose(anew, lines), key)
                anew = records.enclose(anew, lines)
        await self._driver.put(paths.damaged(key), held)
        await self._driver.replace(key, anew, held)
        return True

    async def _row_anew(self, place: keys.ManifestAt | keys.Row) -> bool:
        found = await self._looker.stored(keys.ManifestAt(place.repository, place.digest))
        if found is None or found[1].subject is None:
            return False
        row = paths.referrer(place.repository, found[1].subject.digest, place.digest)
        await self._driver.put(row, records.write_descriptor(referrers.row(found[1], found[0])))
        # Whoever deletes the manifest removes its row after it: where that was before, the row goes again.
        if not await self._looker.has(paths.manifest(place.repository, place.digest)):
            await self._driver.delete(row)
        return True


def _described(found: Kept, digest: Digest) -> bytes | None:
    """The record that is right for a manifest's bytes; None where the bytes are others."""
    if found.body is None or Digest.of(found.body, digest.algorithm) != digest:
        return None
    try:
        media_type = manifests.parse(found.body, "").media_type
    except ManifestInvalid:  # it does not say its type itself, and nothing else does
        return None
    return records.write_descriptor(Descriptor(media_type, digest, len(found.body)))


def _just_after(time: float) -> float:
    return math.nextafter(time, math.inf)


def _refers(named: Descriptor | None, subject: Digest) -> bool:
    return named is not None and named.digest == subject
