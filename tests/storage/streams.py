"""Streams for tests: what a client sends, and what is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """These parts, with a turn of the loop before each."""
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def failing(error: BaseException, *parts: bytes) -> AsyncIterator[bytes]:
    """These parts, then the error."""
    for part in parts:
        yield part
    raise error


async def paused(
    first: bytes, reached: asyncio.Event, go: asyncio.Event, *rest: bytes
) -> AsyncIterator[bytes]:
    """`first`; then `reached` is set, and the rest follows when `go` is."""
    yield first
    reached.set()
    await go.wait()
    for part in rest:
        yield part


async def collect(stream: AsyncIterator[bytes]) -> bytes:
    """All that a stream has."""
    return b"".join([piece async for piece in stream])


def odd(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """`data` in parts of these sizes, over and over."""
    found, at, rounds = [], 0, list(sizes)
    while at < len(data):
        for size in rounds:
            found.append(data[at : at + size])
            at += size
    return found


async def outcome(work: Awaitable[object]) -> object:
    """What the work returned, or the type of what it raised."""
    try:
        return await work
    except Exception as error:
        return type(error)


async def together(*work: Callable[[], Awaitable[object]]) -> list[object]:
    """The outcomes of work that begins at the same time."""
    return list(await asyncio.gather(*(outcome(begin()) for begin in work)))
