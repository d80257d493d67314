"""What was refused of one repository: a small record a reference, for some days; bounded in every way.

A repository of which everything was refused is in no catalog, so refusals have a folder of their own
beside the repositories.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing
from storage.errors import StoreUnavailable

SECONDS = 7 * 24 * 3600.0
"""How long a refusal is kept."""
MOST = 100
"""How many objects a repository has at most; the oldest quarter goes when there is one more."""
MOST_REPOSITORIES = 1000
"""Of how many repositories refusals are kept; those of one or two go when there is one more."""
MAX_BYTES = 16 << 10
"""How large a record may be."""

# No tag and no digest is written so.
_BY_DIGEST = "last:digest"
_KEPT = MOST * 3 // 4
_AT_ONCE = 32
_CHANCE = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Kept:
    """A record, and when it was kept (Unix seconds, by the clock of the store)."""

    record: dict[str, Any]
    at: float


class Refusals:
    """Records by tag and by digest. They are a help, never the truth: any of them may be missing."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def keep(self, references: Iterable[str | Digest], record: dict[str, Any]) -> None:
        """Create or replace the record of each reference; raises ValueError for a record over MAX_BYTES."""
        data = records.write(record)
        if len(data) > MAX_BYTES:
            raise ValueError(f"a refusal of {len(data)} bytes")
        await self._make_room()
        await asyncio.gather(*(self._driver.put(self._key(reference), data) for reference in references))

    async def keep_by_digest(self, digest: Digest, tags: Iterable[str], record: dict[str, Any]) -> None:
        """Keep the record of a push by digest also as the last one of the repository."""
        await self.keep((digest, *tags, _BY_DIGEST), record)

    async def find(self, reference: str | Digest) -> Kept | None:
        """The record of a reference, if there is one and it can be read."""
        key = self._key(reference)
        try:
            data = await self._driver.get(key)
            at = (await self._driver.stat(key)).modified
        except ObjectMissing:
            return None
        with contextlib.suppress(StoreUnavailable):
            return Kept(records.read(data, key), at)
        return None

    async def last_by_digest(self) -> Kept | None:
        """The last one that was pushed by digest: what an index names is pushed so, before any tag."""
        return await self.find(_BY_DIGEST)

    async def _make_room(self) -> None:
        folder = paths.refusals(self._repository)
        names = (await self._driver.children(folder)).names
        if not names:
            others = (await self._driver.children(paths.REFUSALS, limit=MOST_REPOSITORIES)).names
            if len(others) >= MOST_REPOSITORIES:
                # Two go for one that comes: of many writers at once some choose the same.
                for other in _CHANCE.sample(others, 2):
                    await self._remove_all(f"{paths.REFUSALS}/{other}")
        elif len(names) >= MOST:
            await self._remove_oldest(folder, names)

    async def _remove_all(self, folder: str) -> None:
        for name in (await self._driver.children(folder)).names:
            await self._driver.delete(f"{folder}/{name}")

    async def _remove_oldest(self, folder: str, names: Iterable[str]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def age(key: str) -> tuple[float, str]:
            async with gate:
                with contextlib.suppress(ObjectMissing):
                    return (await self._driver.stat(key)).modified, key
                return 0.0, key

        aged = sorted(await asyncio.gather(*(age(f"{folder}/{name}") for name in names)))
        for _, key in aged[: max(len(aged) - _KEPT, 0)]:
            await self._driver.delete(key)

    def _key(self, reference: str | Digest) -> str:
        return paths.refusal(self._repository, str(reference))
