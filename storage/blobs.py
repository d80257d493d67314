"""Blobs of one repository: shared bytes, and the links that say who may have them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import cast

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing, Witness
from storage.errors import BlobUnknown, StoreUnavailable
from storage.formats import Current
from storage.together import together


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that the repository has: `size` in bytes; `witness` is true as long as it has it.

    `enclosed` are its bytes where they lie within its link, and not in what repositories share. `ending` says
    that it is unlinked: it goes unless a manifest names it.
    """

    digest: Digest
    size: int
    witness: Witness
    enclosed: bytes | None = None
    ending: bool = False

    @property
    def key(self) -> str | None:
        """The object that its bytes are; None where they are enclosed."""
        return paths.blob(self.digest) if self.enclosed is None else None


class Blobs:
    """What a repository holds besides manifests; `current` says for which format it is written."""

    def __init__(self, driver: Driver, repository: str, *, current: Current | None = None) -> None:
        self.repository = repository
        self._driver = driver
        self._current = current or Current(driver, is_ours=True)

    def link_key(self, digest: Digest) -> str:
        """The object that says that the repository has a blob."""
        return paths.blob_link(self.repository, digest)

    async def find(self, digest: Digest) -> Blob:
        """The blob, by one look at its link and nothing else; raises BlobUnknown."""
        return await self._found(digest, self.link_key(digest))

    async def relink(self, digest: Digest) -> Blob:
        """The blob, its link brought back where garbage collection is about to end it; raises BlobUnknown.

        For manifests that name it: who was told that it is here does not send it again.
        """
        with contextlib.suppress(BlobUnknown):
            return await self.find(digest)
        await self._driver.move(paths.unlinked(self.repository, digest), self.link_key(digest))
        return await self.find(digest)  # also when somebody else has brought it back

    async def open(self, digest: Digest, *, ending: bool = False) -> Blob:
        """The blob, and its bytes are there in full length; raises BlobUnknown or StoreUnavailable.

        `ending`: also one that garbage collection has unlinked. A manifest that came meanwhile may name it,
        and the collector has not looked again yet; where it is killed, only the next one does. Where each
        look is a journey it is left to the store that the bytes are there.
        """
        try:
            blob = await self.find(digest)
        except BlobUnknown:
            if not ending:
                raise
            unlinked = await self._found(digest, paths.unlinked(self.repository, digest))
            blob = replace(unlinked, ending=True)
        if blob.enclosed is not None:
            there = len(blob.enclosed)
        else:
            there = blob.size if self._driver.remote else await self.stored(digest)
        if there != blob.size:
            raise StoreUnavailable(
                f"the stored bytes of {digest} are damaged: {there} of {blob.size} are there.",
                fix="Push the content again, or restore it from a backup.",
            )
        return blob

    def read(self, blob: Blob, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes `start` to `end` (exclusive; None: all) in pieces."""
        if blob.enclosed is not None:
            return _at_hand(blob.enclosed[start:end])
        return self._shared(blob.digest, start, end)

    async def mount(self, blob: Blob) -> None:
        """Make another repository's blob one of this repository; again is fine."""
        if blob.enclosed is None:
            await self.link(blob.digest, blob.size)
        else:
            await self.put(blob.digest, blob.enclosed)

    async def link(self, digest: Digest, size: int) -> None:
        """Make stored bytes a blob of this repository; again is fine, and mends a wrong link.

        A link is written also where it is: it counts as new then, and garbage collection leaves it alone.
        """
        await self._driver.put(self.link_key(digest), records.write_size(size))

    async def enclose(self, *blobs: bytes) -> None:
        """Store small blobs that are at hand, each under its sha256 within its link; again is fine."""
        await together(*(self.put(Digest.of(data), data) for data in blobs))

    async def enclosed(self, *blobs: bytes) -> dict[str, bytes]:
        """What `enclose` writes: keys and their objects, the bytes before what names them."""
        own = {self.link_key(Digest.of(data)): data for data in blobs}
        if await self._current.is_ours():
            return {key: records.enclosed_blob(data) for key, data in own.items()}
        shared = {paths.blob(Digest.of(data)): data for data in blobs}
        return shared | {key: records.write_size(len(data)) for key, data in own.items()}

    async def keep(self, digest: Digest, data: bytes) -> None:
        """Store a small blob that was uploaded: within its link, and among what repositories share.

        That is for who mounts it and does not say from where.
        """
        await together(self.put(digest, data), self._driver.put(paths.blob(digest), data))

    async def put(self, digest: Digest, data: bytes) -> None:
        """Store a small blob that is at hand, under its digest within its link; again is fine."""
        if await self._current.is_ours():
            await self._driver.put(self.link_key(digest), records.enclosed_blob(data))
        else:
            await self._driver.put(paths.blob(digest), data)
            await self.link(digest, len(data))

    async def delete(self, digest: Digest) -> None:
        """Take the blob from this repository; the shared bytes stay. Raises BlobUnknown."""
        gone = await self._driver.delete(self.link_key(digest))
        if not await self._driver.delete(paths.unlinked(self.repository, digest)) and not gone:
            raise BlobUnknown(f"{self.repository} has no blob {digest}.")

    async def stored(self, digest: Digest) -> int:
        """How many bytes are stored under a digest, whoever may have them."""
        key = paths.blob(digest)
        with contextlib.suppress(ObjectMissing):
            return (await self._driver.stat(key)).size
        # Linked while garbage collection took them for nobody's: they are put back.
        await self._driver.move(paths.trash(key), key)
        with contextlib.suppress(ObjectMissing):
            return (await self._driver.stat(key)).size
        return 0

    async def _found(self, digest: Digest, key: str) -> Blob:
        try:
            link, enclosed = records.split(await self._driver.get(key))
        except ObjectMissing:
            raise BlobUnknown(
                f"{self.repository} has no blob {digest}.",
                fix="Push it, or mount it from the repository that has it.",
            ) from None
        return Blob(digest, records.read_size(link, key), Witness(key, link), enclosed)

    def _bytes(self, digest: Digest, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        return cast(AsyncGenerator[bytes, None], self._driver.read(paths.blob(digest), start, end))

    async def _shared(self, digest: Digest, start: int, end: int | None) -> AsyncIterator[bytes]:
        for is_last in (False, True):
            try:
                async with contextlib.aclosing(self._bytes(digest, start, end)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ObjectMissing:  # which comes before the first piece
                if is_last or not await self.stored(digest):
                    raise


async def _at_hand(data: bytes) -> AsyncIterator[bytes]:
    yield data
