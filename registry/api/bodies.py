"""Small bodies that are held whole: capped each, and all together."""

from __future__ import annotations

from collections.abc import AsyncIterator

from storage.errors import Busy, RegistryError

BUDGET = 64 << 20
"""Bytes of bodies that a process holds while they come in; the largest single one may go beyond."""


class Bodies:
    """Takes in manifests. `limit` is the largest in bytes."""

    def __init__(self, limit: int, budget: int = BUDGET) -> None:
        self.limit = limit
        self._left = max(budget, limit)

    async def whole(self, source: AsyncIterator[bytes], announced: int, too_large: RegistryError) -> bytes:
        """The body of `announced` bytes (0: not said); raises `too_large`, or Busy beyond the budget."""
        if announced > self.limit:
            raise too_large
        held = bytearray()
        taken = 0
        try:
            async for piece in source:
                if len(held) + len(piece) > self.limit:
                    raise too_large
                if len(piece) > self._left:
                    raise Busy(
                        "the registry is taking in many manifests now.", fix="Try again in a few seconds."
                    )
                self._left -= len(piece)
                taken += len(piece)
                held += piece
            return bytes(held)
        finally:
            self._left += taken
