"""Tags of one repository: one object a tag, holding the descriptor that it names."""

from __future__ import annotations

import asyncio
import contextlib

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectMissing, Page, Witness
from storage.errors import ManifestUnknown
from storage.manifest import Descriptor

_AT_ONCE = 64


class Tags:
    """Names that move."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def resolve(self, tag: str) -> tuple[Descriptor, Witness]:
        """What a tag names, and what to look at to know that it still does; raises ManifestUnknown."""
        key = paths.tag(self._repository, tag)
        try:
            record = await self._driver.get(key)
        except ObjectMissing:
            raise ManifestUnknown(f"{self._repository} has no tag {tag!r}.") from None
        return records.read_descriptor(record, key), Witness(key, record)

    async def put(self, tag: str, descriptor: Descriptor) -> None:
        """Let a tag name a manifest, whatever it named before."""
        named = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        await self._driver.put(paths.tag(self._repository, tag), records.write_descriptor(named))

    async def delete(self, tag: str) -> None:
        """Remove a tag; the manifest stays. Raises ManifestUnknown."""
        if not await self._driver.delete(paths.tag(self._repository, tag)):
            raise ManifestUnknown(f"{self._repository} has no tag {tag!r}.")

    async def page(self, *, after: str = "", limit: int | None = None) -> Page:
        """A part of the tags in byte order."""
        return await self._driver.children(paths.tags(self._repository), after=after, limit=limit)

    async def forget(self, digest: Digest) -> None:
        """Remove every tag that names this digest."""
        after, more = "", True
        while more:
            page = await self._driver.children(paths.tags(self._repository), after=after, limit=_AT_ONCE)
            await asyncio.gather(*(self._forget_if(tag, digest) for tag in page.names))
            after, more = (page.names[-1] if page.names else after), page.more

    async def _forget_if(self, tag: str, digest: Digest) -> None:
        # A tag that is moved to another manifest at this time stays.
        with contextlib.suppress(ManifestUnknown, ObjectChanged):
            named, witness = await self.resolve(tag)
            if named.digest == digest:
                await self._driver.delete(witness.key, expected=witness.content)
