"""Trash of one repository: what garbage collection took away, whole and under its own key, for some days.

A manifest comes back with all that belongs to it: what it names, its children, its signatures and whatever
else refers to it. What is still in its place stays there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from storage import attached, paths, records
from storage import manifest as manifests
from storage.blobs import Blobs
from storage.digest import ALGORITHMS, Digest
from storage.driver import Driver, ObjectMissing
from storage.errors import BlobUnknown, DigestInvalid, ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.manifest import Manifest

SECONDS = 14 * 24 * 3600.0
"""How long something rests here."""

_AT_ONCE = 16
_PAGE = 1000


@dataclass(slots=True)
class Restored:
    """What came back; `missing` are digests of which nothing is left."""

    manifests: list[Digest] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    missing: list[Digest] = field(default_factory=list)


class Trash:
    """What lies in the trash of a repository, and how it comes back. To restore again is fine."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository
        self._blobs = Blobs(driver, repository)

    async def restore(self, reference: str | Digest) -> Restored:
        """Bring a manifest back, or a tag with what it names; raises ManifestUnknown.

        A tag that names something else by now stays so.
        """
        restored, seen = Restored(), set[Digest]()
        if isinstance(reference, Digest):
            key = paths.manifest(self._repository, reference)
            if await self._held(key, paths.trash(key)) is None:
                raise self._unknown(str(reference))
            await self._manifest(reference, restored, seen)
            return restored
        key = paths.tag(self._repository, reference)
        held = await self._held(paths.trash(key), key)
        if held is None:
            raise self._unknown(f"tag {reference!r}")
        # The manifest first: a tag that names nothing is seen by nobody.
        named = records.read_descriptor(records.split(held)[0], key)
        await self._manifest(named.digest, restored, seen)
        await self._tag(reference, restored)
        return restored

    async def restore_all(self) -> Restored:
        """Bring back all manifests and tags of the repository; raises ManifestUnknown for none."""
        restored, seen = Restored(), set[Digest]()
        for algorithm in ALGORITHMS:
            async for name in self._names(paths.manifests(self._repository, algorithm)):
                await self._manifest(Digest(algorithm, name), restored, seen)
        async for name in self._names(paths.tags(self._repository)):
            await self._tag(name, restored)
        if not restored.manifests and not restored.tags:
            raise self._unknown("manifest and no tag")
        return restored

    async def link(self, digest: Digest) -> bool:
        """Bring back a blob that the repository had, link and bytes; whether it is whole then."""
        with contextlib.suppress(BlobUnknown, StoreUnavailable):
            await self._blobs.relink(digest)
            return bool(await self._blobs.open(digest))
        key = paths.blob_link(self._repository, digest)
        if (held := await self._held(paths.trash(key))) is None:
            return False
        # A link that leads to nothing would say that the blob need not be sent again.
        if records.split(held)[1] is None and not await self._blobs.stored(digest):
            return False
        return await self._driver.move(paths.trash(key), key)

    async def _manifest(self, digest: Digest, restored: Restored, seen: set[Digest]) -> None:
        """Bring back a manifest and what belongs to it; what was found last comes first, as leaves do."""
        found: list[tuple[Digest, Manifest | None]] = []
        tags: list[str] = []
        waiting = [digest]
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            key = paths.manifest(self._repository, one)
            if (held := await self._held(paths.trash(key), key)) is None:
                restored.missing.append(one)
                continue
            manifest = _parsed(held, key)
            found.append((one, manifest))
            waiting += [child.digest for child in (manifest.manifests if manifest else ())]
            waiting += [name async for name in self._referrers(one)]
            for tag, named in [pair async for pair in self._attached(one)]:
                waiting.append(named)
                tags.append(tag)
        for one, manifest in reversed(found):
            await self._one(one, manifest, restored)
        for tag in tags:
            await self._tag(tag, restored)

    async def _one(self, digest: Digest, manifest: Manifest | None, restored: Restored) -> None:
        if manifest:
            await self._named(manifest, restored)
            if manifest.subject:
                await self._back(paths.referrer(self._repository, manifest.subject.digest, digest))
        if await self._back(paths.manifest(self._repository, digest)):
            restored.manifests.append(digest)
        await self._back(paths.derived(self._repository, digest))

    async def _named(self, manifest: Manifest, restored: Restored) -> None:
        blobs = list(dict.fromkeys(blob.digest for blob in manifest.blobs()))
        for at in range(0, len(blobs), _AT_ONCE):
            batch = blobs[at : at + _AT_ONCE]
            whole = await asyncio.gather(*map(self.link, batch))
            restored.missing += [blob for blob, is_whole in zip(batch, whole, strict=True) if not is_whole]

    async def _attached(self, subject: Digest) -> AsyncIterator[tuple[str, Digest]]:
        """The tags of what belongs to a manifest, and what they name."""
        for tag in attached.tags(subject):
            key = paths.tag(self._repository, tag)
            if held := await self._held(key, paths.trash(key)):
                with contextlib.suppress(StoreUnavailable):
                    yield tag, records.read_descriptor(records.split(held)[0], key).digest

    async def _referrers(self, subject: Digest) -> AsyncIterator[Digest]:
        async for name in self._names(paths.referrers(self._repository, subject)):
            with contextlib.suppress(DigestInvalid):
                yield Digest.parse(name)

    async def _tag(self, tag: str, restored: Restored) -> None:
        if await self._back(paths.tag(self._repository, tag)):
            restored.tags.append(tag)

    async def _back(self, key: str) -> bool:
        """Move an object back where nothing took its place; whether it was."""
        with contextlib.suppress(ObjectMissing):
            await self._driver.stat(key)
            return False
        return await self._driver.move(paths.trash(key), key)

    async def _held(self, *places: str) -> bytes | None:
        for place in places:
            with contextlib.suppress(ObjectMissing):
                return await self._driver.get(place)
        return None

    async def _names(self, folder: str) -> AsyncIterator[str]:
        after, more = "", True
        while more:
            page = await self._driver.children(paths.trash(folder), after=after, limit=_PAGE)
            for name in page.names:
                yield name
            after, more = (page.names[-1] if page.names else after), page.more

    def _unknown(self, what: str) -> ManifestUnknown:
        return ManifestUnknown(
            f"the trash has no {what} of {self._repository}.",
            fix="What is collected rests there for 14 days; push it again.",
        )


def _parsed(held: bytes, key: str) -> Manifest | None:
    """The manifest in an object; None where it is damaged."""
    record, body = records.split(held)
    with contextlib.suppress(StoreUnavailable, ManifestInvalid):
        return manifests.parse(body or b"", records.read_descriptor(record, key).media_type)
    return None
