"""A ledger in the store: changed by compare-and-swap, by any number of processes.

What is asked of it while a write is under way is written together with the next one: however many pushes
a process takes at a time, it writes one after the other and never against itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import Busy
from storage.quota import ledger as ledgers
from storage.quota.ledger import Ledger, NoRoom
from storage.together import together

HOLD = 600.0
"""For how many seconds what is held open is waited for; who needs longer says so again before."""

LATER = 1.0
"""Seconds that something waits which nobody waits for."""

_TRIES = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.5


class Step(Protocol):
    """A change of a ledger."""

    def looks(self, ledger: Ledger) -> Collection[str]:
        """The objects of which it has to be known whether they are there."""

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        """The ledger after it; raises NoRoom."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Hold objects open, as `Ledger.begun` says."""

    token: str
    sizes: Mapping[str, int]
    allowed: int | None = None
    instead: tuple[str, ...] = ()
    seconds: float = HOLD

    def looks(self, ledger: Ledger) -> Collection[str]:
        """See `Step`."""
        del ledger
        return self.sizes.keys()

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        """See `Step`."""
        until = round(now + self.seconds, 1)
        return ledger.begun(
            self.token, self.sizes, present, until, allowed=self.allowed, instead=self.instead
        )


@dataclass(frozen=True, slots=True)
class End:
    """Hold objects open no more, as `Ledger.ended` says."""

    token: str
    keys: Collection[str]

    def looks(self, ledger: Ledger) -> Collection[str]:
        """See `Step`."""
        del ledger
        return self.keys

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        """See `Step`."""
        del now
        return ledger.ended(self.token, self.keys, present)


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing but what every change does: settle what has lapsed."""

    def looks(self, ledger: Ledger) -> Collection[str]:
        """See `Step`."""
        del ledger
        return ()

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        """See `Step`."""
        del present, now
        return ledger


_Asked = tuple[Step, asyncio.Future[None]]


class Book:
    """The ledger under `key`; `title` is what it says of itself to people. `clock` tells Unix seconds."""

    def __init__(
        self, driver: Driver, key: str, title: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.key = key
        self.title = title
        self.clock = clock
        self._driver = driver
        self._asked: list[_Asked] = []
        self._late: list[_Asked] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._held: bytes | None = None  # as this process has seen it last
        self._seen_at = float("-inf")

    async def change(self, step: Step) -> None:
        """Change the ledger, which is made where there is none.

        Raises NoRoom, Busy where others are faster for long, StoreError.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((step, done))
        self._begin()
        await done

    def later(self, step: Step) -> asyncio.Future[None]:
        """Change the ledger with its next change, or in LATER seconds; when that is done."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._late.append((step, done))
        if self._timer is None:
            self._timer = loop.call_later(LATER, self.flush)
        return done

    def flush(self) -> None:
        """Begin now with what was to be done later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asked += self._late
        self._late = []
        self._begin()

    async def ledger(self, *, age: float = 0.0) -> Ledger:
        """The ledger as it is in the store, or was at most `age` seconds ago; an empty one where none is."""
        held = self._held
        if held is None or time.monotonic() >= self._seen_at + age:
            held = await self._read()
        return self._parsed(held)

    def _begin(self) -> None:
        if self._asked and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._asked:
            asked, self._asked, self._late = self._late + self._asked, [], []
            try:
                refused = await self._written([step for step, _ in asked])
            except Exception as error:
                for _, done in asked:
                    if not done.done():
                        done.set_exception(copy.copy(error))  # a traceback is of one task
                continue
            for (_, done), no_room in zip(asked, refused, strict=True):
                if done.done():  # nobody waits for it any more
                    continue
                if no_room:
                    done.set_exception(no_room)
                else:
                    done.set_result(None)

    async def _written(self, steps: list[Step]) -> list[NoRoom | None]:
        """Write all these steps at once; why each was refused, if it was."""
        held, is_fresh = self._held, False
        pause = _FIRST_PAUSE
        for _ in range(_TRIES):
            if is_fresh or held is None:
                held, is_fresh = await self._read(), True
            before, now = self._parsed(held), self.clock()
            present = await self._present(
                {*before.lapsed(now), *(key for step in steps for key in step.looks(before))}
            )
            after, refused = _taken(before, steps, present, now)
            if not is_fresh and (any(refused) or after == before):  # it may be another one by now
                is_fresh = True
                continue
            if after == before:
                return refused
            if await self._replaced(held, replace(after, version=before.version + 1)):
                return refused
            is_fresh = True
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - who goes first
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise Busy("many push at the same time where a quota counts.", fix="Try again in a few seconds.")

    async def _replaced(self, held: bytes | None, after: Ledger) -> bool:
        data, began = ledgers.written(after, self.title), time.monotonic()
        self._held = None  # until it is known what became of it
        with contextlib.suppress(ObjectExists, ObjectChanged):
            if held is None:
                await self._driver.create(self.key, data)
            else:
                await self._driver.replace(self.key, data, held)
            self._held, self._seen_at = data, began
            return True
        return False

    async def _present(self, keys: Collection[str]) -> set[str]:
        """Those of these objects that are there. It is asked after the ledger was read: what changes since
        changes the ledger too.
        """

        async def look(key: str) -> str | None:
            with contextlib.suppress(ObjectMissing):
                await self._driver.stat(key)
                return key
            return None

        found = await together(*(look(key) for key in keys if not ledgers.is_upload(key)))
        return {key for key in found if key}

    async def _read(self) -> bytes | None:
        now = time.monotonic()
        try:
            held = await self._driver.get(self.key)
        except ObjectMissing:
            held = None
        self._held, self._seen_at = held, now
        return held

    def _parsed(self, held: bytes | None) -> Ledger:
        return Ledger() if held is None else ledgers.read(held, self.key)


def _taken(
    ledger: Ledger, steps: list[Step], present: Collection[str], now: float
) -> tuple[Ledger, list[NoRoom | None]]:
    """The ledger after all steps that it has room for, one after the other."""
    refused: list[NoRoom | None] = []
    ledger = ledger.settled(now, present)
    for step in steps:
        try:
            ledger = step.take(ledger, present, now)
            refused.append(None)
        except NoRoom as no_room:
            refused.append(no_room)
    return ledger, refused
