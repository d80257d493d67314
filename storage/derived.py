"""What was derived from the manifests of one repository: a record each, and bytes shared by digest."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from storage import paths, records
from storage.digest import Digest, hasher
from storage.driver import Driver, ObjectMissing
from storage.errors import StoreUnavailable


class Derived:
    """Records by manifest. They are made anew from the content at any time, so a damaged one is no loss."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def find(self, manifest: Digest) -> dict[str, Any] | None:
        """The record of a manifest, if there is one and it can be read."""
        key = paths.derived(self._repository, manifest)
        try:
            data = await self._driver.get(key)
        except ObjectMissing:
            return None
        with contextlib.suppress(StoreUnavailable):
            return records.read(data, key)
        return None

    async def keep(self, manifest: Digest, record: dict[str, Any]) -> None:
        """Create or replace the record of a manifest."""
        await self._driver.put(paths.derived(self._repository, manifest), records.write(record))

    async def forget(self, manifest: Digest) -> None:
        """Remove the record of a manifest."""
        await self._driver.delete(paths.derived(self._repository, manifest))

    async def has_bytes(self, digest: Digest, size: int) -> bool:
        """Whether derived bytes are stored in full."""
        with contextlib.suppress(ObjectMissing):
            return (await self._driver.stat(paths.blob(digest))).size == size
        return False

    async def keep_bytes(self, digest: Digest, size: int, source: AsyncIterator[bytes]) -> None:
        """Store derived bytes under their digest, unless they are there in full.

        Raises StoreUnavailable when the source is not what was announced; nothing is stored then.
        """
        if await self.has_bytes(digest, size):
            return
        running = hasher(digest.algorithm)

        async def proven() -> AsyncIterator[bytes]:
            async for piece in source:
                running.update(piece)
                yield piece
            if running.hexdigest() != digest.hex:
                raise StoreUnavailable(f"what was derived is not {digest}.", fix="Push the content again.")

        await self._driver.put_stream(paths.blob(digest), proven())

    def read_bytes(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Derived bytes `start` to `end` (exclusive; None: all) in pieces."""
        return self._driver.read(paths.blob(digest), start, end)
