"""Holding passwords against slow hashes: in few threads, and never more than can be waited for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from registry.access import htpasswd
from storage.errors import Busy

THREADS = 2
WAITING = 100
"""Passwords that may wait for a thread: more would wait longer than their clients."""


class Passwords:
    """A bounded pool of threads for bcrypt."""

    def __init__(self, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, "passwords")
        self._left = threads + waiting

    async def is_of(self, password: bytes, kept: bytes) -> bool:
        """Whether a hash is of the password; raises Busy where too many are waiting."""
        if self._left == 0:
            raise Busy("too many are logging in now.", fix="Try again in a few seconds.")
        self._left -= 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, htpasswd.is_of, password, kept)
        finally:
            self._left += 1

    async def close(self) -> None:
        """Wait for nothing that has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
