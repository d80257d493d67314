"""A driver that keeps the books: what it writes and removes for repositories that have a quota.

Whoever writes, a push, a signature, garbage collection or a repair, goes through it, so that none of them
has to think of quotas. It refuses nothing: that is asked before the bytes are taken (`Unlimited`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from storage import paths, records
from storage.driver import PEEKED, Driver, Entry, ObjectMissing, Page, Stat, nothing
from storage.errors import StoreUnavailable
from storage.quota.account import Account
from storage.quota.quotas import Quotas


class Accounted:
    """A `storage.driver.Driver` over another one, with all its promises."""

    def __init__(self, driver: Driver, quotas: Quotas) -> None:
        self._driver = driver
        self._quotas = quotas

    @property
    def remote(self) -> bool:
        """See `storage.driver.Driver`."""
        return self._driver.remote

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        return await self._driver.get(key)

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        return await self._driver.stat(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        return self._driver.read(key, start, end)

    async def put(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        async with self._kept(_sizes({key: data})):
            await self._driver.put(key, data)

    async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
        """See `storage.driver.Driver`."""
        async with self._kept(_sizes({key: data for step in steps for key, data in step.items()})):
            await self._driver.put_in_order(steps)

    async def create(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        async with self._kept(_sizes({key: data})):
            await self._driver.create(key, data)

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._driver.replace(key, data, expected)

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await self._driver.put_stream(key, source)

    async def delete(self, key: str, *, expected: bytes | None = None) -> bool:
        """See `storage.driver.Driver`."""
        async with self._kept(await self._there(key), at_once=True):
            return await self._driver.delete(key, expected=expected)

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """See `storage.driver.Driver`."""
        async with self._kept(await self._there(key, target), at_once=True):
            return await self._driver.move(key, target, before=before)

    def walk(self, prefix: str) -> AsyncIterator[Entry]:
        """See `storage.driver.Driver`."""
        return self._driver.walk(prefix)

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        return await self._driver.children(prefix, after=after, limit=limit)

    async def stage(self, key: str) -> None:
        """See `storage.driver.Driver`."""
        await self._driver.stage(key)

    async def staged(self, key: str) -> int:
        """See `storage.driver.Driver`."""
        return await self._driver.staged(key)

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await self._driver.extend(key, offset, source)

    def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        return self._driver.read_staged(key)

    async def publish(
        self, key: str, target: str | None, size: int, *, then: Callable[[], Awaitable[object]] = nothing
    ) -> None:
        """See `storage.driver.Driver`."""
        await self._driver.publish(key, target, size, then=then)

    async def discard(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self._driver.discard(key)

    async def sweep(self, before: float) -> None:
        """See `storage.driver.Driver`."""
        await self._driver.sweep(before)

    @contextlib.asynccontextmanager
    async def _kept(self, sizes: Mapping[str, int], *, at_once: bool = False) -> AsyncIterator[None]:
        """Keep the books of objects that change meanwhile."""
        async with contextlib.AsyncExitStack() as stack:
            for account, own in self._by_account(sizes).items():
                await stack.enter_async_context(account.changing(own, at_once=at_once))
            yield

    def _by_account(self, sizes: Mapping[str, int]) -> dict[Account, dict[str, int]]:
        found: dict[Account, dict[str, int]] = {}
        for key, size in sizes.items():
            if (owned := paths.owned(key)) and (account := self._quotas.of(owned.repository)):
                found.setdefault(account, {})[key] = size
        return found

    async def _there(self, key: str, target: str | None = None) -> dict[str, int]:
        """What counts of an object that goes, or of where it goes to."""
        keys = [one for one in (key, target) if one and counts(one)]
        if not any(self._quotas.of(owned.repository) for one in keys if (owned := paths.owned(one))):
            return {}
        with contextlib.suppress(ObjectMissing):
            size = size_of(await beginning(self._driver, key), keys[0])
            return dict.fromkeys(keys, size)
        return {}


def counts(key: str) -> bool:
    """Whether an object counts: a blob's link and a manifest, each in its repository."""
    owned = paths.owned(key)
    return owned is not None and owned.folder in ("blobs", "manifests")


async def beginning(driver: Driver, key: str) -> bytes:
    """The first bytes of an object, its record among them; raises ObjectMissing."""
    return b"".join([piece async for piece in driver.read(key, 0, PEEKED)])


def size_of(data: bytes, key: str) -> int:
    """How many bytes an object that counts stands for, by its beginning; of a damaged one 0."""
    try:
        return records.read_size(records.split(data)[0], key)
    except StoreUnavailable:
        return 0


def _sizes(objects: Mapping[str, bytes]) -> dict[str, int]:
    return {key: size_of(data, key) for key, data in objects.items() if counts(key)}
