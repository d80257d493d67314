from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import ClassVar

import pytest

from storage.incoming import ahead
from tests.storage.streams import collect, failing, pieces


class Source:
    """Three pieces, and how many were asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_over = False
        self.may = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            for piece in (b"a", b"b", b"c"):
                self.asked += 1
                yield piece
            self.asked += 1
            await self.may.wait()
        finally:
            self.is_over = True


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_of_them_in_order() -> None:
    assert await collect(ahead(pieces(b"a", b"b", b"c"))) == b"abc"
    assert await collect(ahead(pieces())) == b""


async def test_one_is_on_its_way_and_no_more() -> None:
    source = Source()
    source.may.set()
    seen = []
    async for piece in ahead(source.pieces()):
        await turns()
        seen.append((piece, source.asked))
    assert seen == [(b"a", 2), (b"b", 3), (b"c", 4)]


async def test_a_failure_comes_after_what_came_before_it() -> None:
    seen = []
    with pytest.raises(ConnectionError):
        async for piece in ahead(failing(ConnectionError(), b"a", b"b")):
            await turns()
            seen.append(piece)
    assert seen == [b"a", b"b"]


async def test_who_leaves_early_leaves_nothing_behind() -> None:
    source, before = Source(), asyncio.all_tasks()
    async with aclosing(ahead(source.pieces())) as some:  # type: ignore[type-var]
        assert [await anext(some), await anext(some), await anext(some)] == [b"a", b"b", b"c"]
        await turns()
    assert source.is_over
    assert asyncio.all_tasks() == before


async def test_a_failure_of_who_works_on_them_is_raised_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="here"):
        async with aclosing(ahead(failing(ConnectionError(), b"a"))) as some:  # type: ignore[type-var]
            async for _ in some:
                await turns()
                raise ValueError("here")
    gc.collect()
    assert caplog.messages == [], "nobody complains that the other one was not heard"


class Broken(Exception):
    """One of which it is known whether anybody holds it."""

    alive: ClassVar[weakref.WeakSet[Broken]] = weakref.WeakSet()

    def __init__(self) -> None:
        super().__init__()
        self.alive.add(self)


async def test_a_failure_is_gone_with_who_heard_it() -> None:
    """With it all that the frames hold which it came by: not when the collector of cycles comes."""

    async def breaks() -> AsyncIterator[bytes]:
        yield b"a"
        raise Broken

    gc.disable()
    try:
        with suppress(Broken):
            await collect(ahead(breaks()))
        await turns()
        assert not Broken.alive
    finally:
        gc.enable()


async def test_cancelled_while_it_waits() -> None:
    source = Source()
    task = asyncio.create_task(collect(ahead(source.pieces())))
    await turns()
    await turns()
    assert source.asked == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.is_over
