"""Interleavings, forced: of two stories over one driver, one call at a time is let through."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, cast

from storage.driver import Driver, Entry
from tests.storage.streams import outcome

Story = Callable[[], Coroutine[Any, Any, object]]

_teller: ContextVar[int | None] = ContextVar("_teller", default=None)
_AT_ONCE = frozenset(("read", "read_staged", "peek", "root"))


class Turns:
    """A driver whose calls, within `play`, each wait for their story's turn."""

    def __init__(self, driver: Driver) -> None:
        self._inner = driver
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        self._idle = asyncio.Event()
        self._news = asyncio.Event()  # a story waits for its turn, or has ended

    @classmethod
    def over(cls, driver: Driver) -> tuple[Turns, Driver]:
        """The turns, and the same as a driver."""
        turns = cls(driver)
        return turns, cast(Driver, turns)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in _AT_ONCE:
            return found

        async def call(*args: Any, **options: Any) -> Any:
            return await self._in_turn(found, *args, **options)

        async def walk(prefix: str) -> AsyncIterator[Entry]:
            for entry in await self._in_turn(whole, prefix):
                yield entry

        async def whole(prefix: str) -> list[Entry]:
            return [entry async for entry in found(prefix)]

        return walk if name == "walk" else call

    async def _in_turn(self, found: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        teller = _teller.get()
        if teller is None:
            return await found(*args, **options)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(teller, []).append(turn)
        self._news.set()
        await turn
        try:
            return await found(*args, **options)
        finally:
            self._idle.set()

    async def play(self, order: Sequence[int], *stories: Story) -> tuple[list[object], list[int]]:
        """Tell the stories, call by call in this order (then the first that waits).

        Returns their outcomes, and whose each call was.
        """
        self._waiting.clear()
        tasks = [asyncio.create_task(self._tell(number, story)) for number, story in enumerate(stories)]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        given: list[int] = []
        wanted = iter(order)
        while True:
            await self._settle()
            self._news.clear()
            ready = [number for number, turns in sorted(self._waiting.items()) if turns]
            if not ready:
                if all(task.done() for task in tasks):
                    return [await task for task in tasks], given
                await self._news.wait()  # one is in a thread
                continue
            number = next(wanted, ready[0])
            if number not in ready:
                number = ready[0]
            given.append(number)
            self._idle.clear()
            self._waiting[number].pop(0).set_result(None)
            await self._idle.wait()

    @staticmethod
    async def _tell(number: int, story: Story) -> object:
        _teller.set(number)
        return await outcome(story())

    @staticmethod
    async def _settle() -> None:
        """Let every task run until it waits for its turn or is done."""
        for _ in range(12):
            await asyncio.sleep(0)


async def each_order(
    begin: Callable[[], Awaitable[tuple[Turns, Sequence[Story]]]], *, at_most: int
) -> AsyncIterator[list[object]]:
    """The outcomes of two stories in each order of their calls, or in `at_most` drawn ones.

    `begin` makes a fresh scene: the turns and the two stories.
    """
    turns, stories = await begin()
    _, given = await turns.play([], *stories)
    for order in _orders(given.count(0), given.count(1) + 2, at_most):
        turns, stories = await begin()
        yield (await turns.play(order, *stories))[0]


def _orders(first: int, second: int, at_most: int) -> list[list[int]]:
    total = first + second
    if math.comb(total, first) <= at_most:
        drawn = set(itertools.combinations(range(total), first))
    else:  # there are millions of them soon
        chance, drawn = random.Random(1), set()
        while len(drawn) < at_most:
            drawn.add(tuple(sorted(chance.sample(range(total), first))))
    return [[0 if at in places else 1 for at in range(total)] for places in sorted(drawn)]
