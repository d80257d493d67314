"""The bytes of a blob on their way in: measured, hashed, and held while they are few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from storage.digest import Hasher
from storage.driver import CHUNK
from storage.errors import BodyTooLarge, SizeInvalid

SMALL = 4 << 10
"""A blob of so many bytes at most lies within its link."""

_FIRST = 128 << 10
_PIECE = CHUNK // 2  # for as much more is on its way meanwhile


@dataclass(slots=True)
class Running:
    """A hash of the first `size` bytes of something, and these bytes while they are few."""

    hasher: Hasher
    size: int = 0
    held: bytes = b""

    def add(self, piece: bytes) -> None:
        """Hash a piece; for a thread."""
        self.hasher.update(piece)
        self.size += len(piece)
        self.held = self.held + piece if self.size <= SMALL else b""

    @property
    def small(self) -> bytes | None:
        """All of it, where it is small enough to lie within a link."""
        return self.held if self.size <= SMALL else None


async def measured(source: AsyncIterator[bytes], limit: int, size: int | None) -> AsyncGenerator[bytes, None]:
    """The source in pieces of about _PIECE; raises BodyTooLarge over `limit`, SizeInvalid if not `size`.

    The first ones are smaller: of a short body, too, most is stored when its end comes.
    """
    if (size or 0) > limit:
        raise too_large()
    seen = 0
    held, enough = bytearray(), _FIRST
    try:
        async for piece in source:
            seen += len(piece)
            if seen > limit:
                raise too_large()
            held += piece
            if len(held) >= enough:
                yield bytes(held)
                held.clear()
                enough = min(2 * enough, _PIECE)
    except Exception:
        # What came before the client went away counts: it may go on from there.
        if held:
            yield bytes(held)
        raise
    if held:
        yield bytes(held)
    if size is not None and seen != size:
        raise SizeInvalid(f"{seen} bytes came where {size} were announced.")


async def ahead(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The pieces, the next one on its way while one is worked on; closes them at its end."""

    async def pull() -> bytes | None:
        return await anext(pieces, None)

    coming = asyncio.create_task(pull())
    try:
        while (piece := await coming) is not None:
            coming = asyncio.create_task(pull())
            yield piece
    finally:
        coming.cancel()
        await asyncio.wait((coming,))
        del coming  # a failure holds this frame, and would be held by it
        await pieces.aclose()


async def hashed(running: Running, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces, hashed in a thread while they are written."""
    async for piece in pieces:
        hashing = asyncio.create_task(asyncio.to_thread(running.add, piece))
        try:
            yield piece
        finally:
            await hashing


def too_large() -> BodyTooLarge:
    """What to raise for an upload over the limit."""
    return BodyTooLarge(
        "the upload is larger than this registry takes.",
        fix="Raise limits.upload in its settings, or push less.",
    )
