"""One load for a herd: many that want the same bytes at once wait for the first to read them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

BUDGET = 64 << 20
"""Bytes that may be under way at a time; what would go beyond is not taken."""


class Flights:
    """Loads under way in one process, by what they load."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._left = budget
        self._under_way: dict[Hashable, asyncio.Task[bytes]] = {}

    async def once(self, key: Hashable, size: int, load: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """The bytes that `load` gives, loaded once for all who ask meanwhile; raises what it raises.

        None when `size` more bytes are too many now: the caller then streams.
        """
        task = self._under_way.get(key)
        if task is None:
            if size > self._left:
                return None
            self._left -= size
            task = asyncio.ensure_future(self._fly(key, size, load))
            self._under_way[key] = task
        return await asyncio.shield(task)

    async def _fly(self, key: Hashable, size: int, load: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            return await load()
        finally:
            self._left += size
            del self._under_way[key]
