"""Referrers of one repository: which manifests name another as their subject.

A row is written before its manifest is linked and removed after it is unlinked, and a listing shows
only rows whose manifest is there: no row ever dangles, and none is missing.
"""

from __future__ import annotations

import asyncio
import contextlib

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing
from storage.manifest import Descriptor

PAGE = 1000
_AT_ONCE = 64


class Referrers:
    """Edges from a subject to what refers to it."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def add(self, subject: Digest, descriptor: Descriptor) -> None:
        """Note that `descriptor`'s manifest refers to `subject`, which need not be here."""
        key = paths.referrer(self._repository, subject, descriptor.digest)
        await self._driver.put(key, records.write_descriptor(descriptor))

    async def has(self, subject: Digest, digest: Digest) -> bool:
        """Whether it is noted that `digest` refers to `subject`."""
        with contextlib.suppress(ObjectMissing):
            await self._driver.stat(paths.referrer(self._repository, subject, digest))
            return True
        return False

    async def remove(self, subject: Digest, digest: Digest) -> None:
        """Forget that `digest` refers to `subject`."""
        await self._driver.delete(paths.referrer(self._repository, subject, digest))

    async def page(self, subject: Digest, *, after: str = "") -> tuple[list[Descriptor], str]:
        """Up to PAGE referrers in order of their digests, and where the next page goes on ("": no more)."""
        folder = paths.referrers(self._repository, subject)
        page = await self._driver.children(folder, after=after, limit=PAGE)
        found: list[Descriptor] = []
        for at in range(0, len(page.names), _AT_ONCE):
            batch = page.names[at : at + _AT_ONCE]
            rows = await asyncio.gather(*(self._row(f"{folder}/{name}") for name in batch))
            found += [row for row in rows if row]
        return found, page.names[-1] if page.more else ""

    async def _row(self, key: str) -> Descriptor | None:
        with contextlib.suppress(ObjectMissing):
            row = records.read_descriptor(await self._driver.get(key), key)
            await self._driver.stat(paths.manifest_link(self._repository, row.digest))
            return row
        return None
