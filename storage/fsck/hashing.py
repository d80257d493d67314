"""Hashing what is stored, in threads, no faster than is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from storage.digest import Digest, hasher
from storage.driver import Driver


@dataclass(frozen=True, slots=True)
class Hashed:
    """What an object's bytes hash to, and how many there are."""

    digest: Digest
    size: int


class Pace:
    """Holds up whoever takes more than `rate` a second; 0: nobody."""

    def __init__(self, rate: float = 0) -> None:
        self._rate = rate
        self._free = 0.0

    async def take(self, amount: int) -> None:
        """Wait until so much may be taken: all that was taken before has had its time."""
        if self._rate:
            now = time.monotonic()
            begins = max(now, self._free)
            self._free = begins + amount / self._rate
            await asyncio.sleep(begins - now)


class Hashing:
    """Hashes objects of a store, `rate` bytes a second at most (0: as fast as it goes); counts the bytes."""

    def __init__(self, driver: Driver, rate: float = 0) -> None:
        self.bytes = 0
        self._driver = driver
        self._pace = Pace(rate)

    async def hashed(self, key: str, algorithm: str) -> Hashed:
        """What the bytes under a key hash to; raises ObjectMissing, StoreError."""
        running, size = hasher(algorithm), 0
        # A generator that is not read to its end is closed at once, and with it what it has open.
        async with contextlib.aclosing(self._driver.read(key)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                await self._pace.take(len(piece))
                await asyncio.to_thread(running.update, piece)
                size += len(piece)
                self.bytes += len(piece)
        return Hashed(Digest(algorithm, running.hexdigest()), size)

    async def holds(self, key: str, digest: Digest) -> bool:
        """Whether the bytes under a key are the content of a digest; raises ObjectMissing, StoreError."""
        return (await self.hashed(key, digest.algorithm)).digest == digest
