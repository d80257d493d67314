"""A driver that remembers: what is asked again and again costs the store one call a second.

For a store that takes milliseconds and may fail, as S3; over a disk it gains nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.asking import Asking
from storage.circuit import Circuit
from storage.driver import PEEKED, Driver, ObjectMissing, Page, Stat
from storage.errors import StoreUnavailable
from storage.memory import First, Flight, Kind, Memory, Place, Seen

BUDGET = 32 << 20
"""Bytes of memory for what is remembered, by default."""

STALE = 900.0
"""Seconds for which what was seen last is good enough while the store fails, by default."""

_OVERTIME = 1.9  # a peek's answer is renewed after one ttl and given until so many: within two, all told

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """How reads ended; each only grows.

    `fetched`: the store was asked. `remembered`: it was not, what was seen is young enough. `stale`: what
    was seen last was given because the store fails. `refused`: it fails, and nothing was remembered.
    """

    fetched: int = 0
    remembered: int = 0
    stale: int = 0
    refused: int = 0


class Remembered(Asking):
    """A `Driver`, and the `Peek` of the hot path, that remembers small objects and their stats.

    It keeps the promises of `storage.driver.Driver` but for these, where it is weaker:

    - `get`, `stat` and `read` may show an object as it was at a time within the last `ttl` seconds, and
      never as it was before a write that has returned here. What others have replaced or removed is seen
      after `ttl`; by `peek`, after twice that. What others have made is seen at once: nobody is told from
      memory that something is not there, nor shown a page (docker asks for a blob, sends it to one
      replica and asks another one for it).
    - While the store fails, they and the first page of `children` show what was seen last, for
      `stale_if_error` seconds since; never that something is not there.

    So it is for pulls. What writes, and garbage collection, goes by `asking`: the same store and the same
    memory, but each read of it asks. Conditions (`create`, `replace`, `delete`, `move`) are always the
    store's. Nothing of a write is shown before the store has acknowledged it.

    However many ask for a key, one call is under way, and calls for what is peeked at begin a `ttl` apart.
    `clock` tells seconds; `probe` is the key that is looked for to know whether the store answers again.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        ttl: float = 1.0,
        stale_if_error: float = STALE,
        budget_bytes: int = BUDGET,
        clock: Callable[[], float] = time.monotonic,
        probe: str = "format",
    ) -> None:
        memory, circuit = Memory(budget_bytes), Circuit(lambda: driver.stat(probe), clock)
        super().__init__(driver, memory, circuit, clock)
        self.asking = Asking(driver, memory, circuit, clock)
        self.tally = Tally()
        self._ttl = ttl
        self._overtime = _OVERTIME * ttl
        self._stale_if_error = stale_if_error
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[Seen[object]]] = set()

    @property
    def degraded(self) -> float | None:
        """Since when the store fails, in Unix seconds; None while it answers."""
        return self._circuit.degraded

    @property
    def serving(self) -> bool:
        """Whether what was seen last is still given, should the store fail."""
        answered = self._circuit.answered
        return answered is not None and self._clock() < answered + self._stale_if_error

    @property
    def failures(self) -> int:
        """How many calls the store has failed."""
        return self._circuit.failures

    @property
    def used(self) -> int:
        """Bytes of memory in use."""
        return self._memory.used

    def peek(self, key: str) -> bytes | None:
        """See `storage.driver.Peek`: from memory, renewed in the background while it is asked for."""
        place = Kind.CONTENT, key
        found = self._memory.find(place)
        if found is None:
            place = Kind.BEGINNING, key
            found = self._memory.find(place)
        if found is None:
            return None
        now = self._clock()
        if self._circuit.open:
            self._circuit.nudge()
            if not self._good_enough(found, now):
                return None
            self.tally.stale += 1
        else:
            age = now - found.asked
            if found.doubted or age >= self._overtime:
                return None
            if age >= self._ttl and place not in self._memory.under_way:
                self._begin(place, self._content if place[0] is Kind.CONTENT else self._beginning)
            self.tally.remembered += 1
        content: bytes = _there(found, key)
        return content[:PEEKED]

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        return _there(await self._seen((Kind.CONTENT, key), self._content), key)

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        return _there(await self._seen((Kind.STAT, key), self._stat), key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        place = Kind.CONTENT, key
        known = self._memory.find(place)
        if known is None:
            async with contextlib.aclosing(super().read(key, start, end)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        elif piece := _there(await self._seen(place, self._content), key)[start:end]:
            yield piece

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        if not after:
            place = Kind.NAMES, prefix
            first = _there(await self._seen(place, lambda folder: self._first(folder, limit)), prefix)
            if first.limit == limit:
                return first.page
        return await super().children(prefix, after=after, limit=limit)

    async def close(self) -> None:
        """End what is under way in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self._circuit.close(), return_exceptions=True)

    # Where an answer comes from

    async def _seen(self, place: Place, fetch: Callable[[str], Awaitable[T | None]]) -> Seen[T]:
        """From memory, from a question under way, or from the store; raises StoreUnavailable."""
        found: Seen[T] | None = self._at_hand(place)
        if found is not None:
            return found
        if self._circuit.open:
            self.tally.refused += 1
            raise self._circuit.refusal()
        came = next(self._order)
        try:
            while True:
                flight = self._memory.under_way.get(place)
                # One that is under way for long shows the store as it was when it began.
                if flight is None or self._clock() >= flight.began + self._ttl:
                    flight = self._begin(place, fetch)
                seen: Seen[T] = await asyncio.shield(flight.task)
                if flight.number > came or (seen.value is not None and place[0] is not Kind.NAMES):
                    return seen
        except StoreUnavailable as error:
            found = self._memory.find(place)
            if found is not None and self._good_enough(found, self._clock()):
                self.tally.stale += 1
                return found
            self.tally.refused += 1
            # Each who waits has an error of its own: a traceback is of one task.
            raise StoreUnavailable(error.message, fix=error.fix, retry_after=error.retry_after) from error

    def _at_hand(self, place: Place) -> Seen[T] | None:
        """What is remembered and may be shown without asking."""
        found = self._memory.find(place)
        if found is None:
            return None
        now = self._clock()
        if not found.doubted and now < found.asked + self._ttl and place[0] is not Kind.NAMES:
            self.tally.remembered += 1
            return found
        if self._circuit.open and self._good_enough(found, now):
            self._circuit.nudge()
            self.tally.stale += 1
            return found
        return None

    def _good_enough(self, found: Seen[Any], now: float) -> bool:
        return now < found.asked + self._stale_if_error

    # Questions under way

    def _begin(self, place: Place, fetch: Callable[[str], Awaitable[object]]) -> Flight:
        began = self._clock()
        task = asyncio.get_running_loop().create_task(self._fly(place, fetch, began))
        self._tasks.add(task)
        task.add_done_callback(self._landed)
        flight = self._memory.under_way[place] = Flight(began, next(self._order), task)
        self.tally.fetched += 1
        return flight

    async def _fly(
        self, place: Place, fetch: Callable[[str], Awaitable[object]], began: float
    ) -> Seen[object]:
        try:
            seen = Seen(await self._circuit.ask(lambda: fetch(place[1])), began)
            self._memory.land(place, seen)
            return seen
        finally:
            self._memory.leave(place)

    def _landed(self, task: asyncio.Task[Seen[object]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may have waited for it

    async def _content(self, key: str) -> bytes | None:
        with contextlib.suppress(ObjectMissing):
            return await self._driver.get(key)
        return None

    async def _beginning(self, key: str) -> bytes | None:
        with contextlib.suppress(ObjectMissing):
            return b"".join([piece async for piece in self._driver.read(key, 0, PEEKED)])
        return None

    async def _stat(self, key: str) -> Stat | None:
        with contextlib.suppress(ObjectMissing):
            return await self._driver.stat(key)
        return None

    async def _first(self, folder: str, limit: int | None) -> First:
        return First(limit, await self._driver.children(folder, limit=limit))


def _there(seen: Seen[T], key: str) -> T:
    if seen.value is None:
        raise ObjectMissing(key)
    return seen.value
