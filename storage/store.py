"""The store: the one door to content, over whatever driver keeps the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import time

from storage import formats, names, paths, refusals, sweep, tags
from storage.digest import Digest, hasher
from storage.driver import Driver, ObjectMissing, Page
from storage.errors import BlobUnknown, StoreUnavailable
from storage.formats import Current, Format
from storage.pulls import Pulls
from storage.quota.quotas import Quotas
from storage.repositories import Repository
from storage.uploads import Uploads
from storage.urls import Urls

PROVEN = 64 << 20
"""Bytes that are hashed at most to prove content whose repository is not said."""


class Store:
    """Repositories by name. `upload_limit` is the largest blob in bytes.

    `tag_history` is for how many seconds a tag remembers what it named. One that `lends` gives content to who
    does not say which repository has it (`proven_size`): small blobs have to be kept for that, too.
    Pushes ask `quotas`; `driver` keeps their books (`storage.quota.accounted`).
    """

    def __init__(
        self,
        driver: Driver,
        *,
        upload_limit: int,
        tag_history: float = tags.HISTORY,
        lends: bool = True,
        quotas: Quotas | None = None,
    ) -> None:
        self.quotas = quotas or Quotas(driver, ())
        self._driver = driver
        self._tag_history = tag_history
        self._current = Current(driver)
        self.uploads = Uploads(driver, upload_limit, shared=lends, quotas=self.quotas)

    async def open(self) -> Format:
        """The format of the store, an empty one made one of this release's; raises FormatUnknown."""
        return await formats.opened(self._driver)

    def repository(self, name: str) -> Repository:
        """The repository of that name, there or not; raises NameInvalid."""
        return Repository(
            self._driver,
            names.repository(name),
            self.uploads,
            history=self._tag_history,
            current=self._current,
        )

    def urls(self, repository: str) -> Urls:
        """The URLs that were given out of a repository; raises NameInvalid."""
        return Urls(self._driver, names.repository(repository))

    def pulls(self, repository: str) -> Pulls:
        """Who pulled what of a repository last; raises NameInvalid."""
        return Pulls(self._driver, names.repository(repository))

    async def catalog(self, *, after: str = "", limit: int | None = None) -> Page:
        """A part of the names of all repositories, in byte order."""
        page = await self._driver.children(paths.CATALOG, after=paths.catalog_name(after), limit=limit)
        return Page(tuple(map(paths.catalog_repository, page.names)), page.more)

    async def proven_size(self, digest: Digest) -> int:
        """The size of content that any repository has, held against its digest.

        Raises BlobUnknown where it is not here, is damaged, or is larger than PROVEN: to hash that
        costs more than to send it.
        """
        key = paths.blob(digest)
        running, size = hasher(digest.algorithm), 0
        with contextlib.suppress(ObjectMissing):
            if (await self._driver.stat(key)).size <= PROVEN:
                async for piece in self._driver.read(key):
                    await asyncio.to_thread(running.update, piece)
                    size += len(piece)
                if running.hexdigest() == digest.hex:
                    return size
        raise BlobUnknown(f"there is no blob {digest} to be had without its repository.")

    async def ready(self) -> None:
        """Raises StoreError when the store does not answer."""
        try:
            await self._driver.stat(paths.FORMAT)
        except ObjectMissing:
            raise StoreUnavailable(
                "the store is not there any more.", fix="Put the storage folder or bucket back, then restart."
            ) from None

    async def sweep(self, *, age: float) -> int:
        """Remove uploads that received nothing for `age` seconds, and old refusals; how many uploads."""
        await sweep.refusals(self._driver, before=time.time() - refusals.SECONDS)
        return await sweep.abandoned(self._driver, before=time.time() - age)
