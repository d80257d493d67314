"""What was derived from the manifests of one repository: a record each, and bytes shared by digest."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing


class Derived:
    """Records by manifest. They are made anew from the content at any time, so a damaged one is no loss."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def find(self, manifest: Digest) -> dict[str, Any] | None:
        """The record of a manifest, if there is one."""
        key = paths.plugin(self._repository, manifest)
        with contextlib.suppress(ObjectMissing):
            return records.read(await self._driver.get(key), key)
        return None

    async def keep(self, manifest: Digest, record: dict[str, Any]) -> None:
        """Create or replace the record of a manifest."""
        await self._driver.put(paths.plugin(self._repository, manifest), records.write(record))

    async def forget(self, manifest: Digest) -> None:
        """Remove the record of a manifest."""
        await self._driver.delete(paths.plugin(self._repository, manifest))

    async def keep_bytes(self, digest: Digest, size: int, source: AsyncIterator[bytes]) -> None:
        """Store derived bytes under their digest, unless they are there in full."""
        key = paths.blob(digest)
        with contextlib.suppress(ObjectMissing):
            if (await self._driver.stat(key)).size == size:
                return
        await self._driver.put_stream(key, source)

    def read_bytes(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Derived bytes `start` to `end` (exclusive; None: all) in pieces."""
        return self._driver.read(paths.blob(digest), start, end)
