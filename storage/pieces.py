"""Bytes in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator


async def in_one(source: AsyncIterator[bytes]) -> tuple[bytes | None, AsyncIterator[bytes]]:
    """The whole of a source that has one piece at most, else None; and all of its pieces."""
    rest = aiter(source)
    first, second = await anext(rest, b""), await anext(rest, None)

    async def every() -> AsyncIterator[bytes]:
        yield first
        if second is not None:
            yield second
            async for piece in rest:
                yield piece

    return first if second is None else None, every()
