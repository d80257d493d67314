"""One look at a witness for all requests that a step of the event loop found waiting.

A request that is handled in a step began before the step did: the loop waits for sockets first and
then serves those that had something. So what the first of them sees in the store is no older than any
of these requests, and none is answered by a state from before it began. A loop that waits again within
a step (libuv, past a thousand sockets) has moved its clock by then; that ends the look, too.
"""

from __future__ import annotations

import asyncio

from storage.driver import Peek


class Glance:
    """A `Peek` that asks another one at most once a key and step. One a loop."""

    def __init__(self, store: Peek, loop: asyncio.AbstractEventLoop) -> None:
        self._peek = store.peek
        self._loop = loop
        self._seen: dict[str, bytes | None] = {}
        self._at = 0.0

    def peek(self, key: str) -> bytes | None:
        """The object as it was in this step; see `storage.driver.Peek`."""
        now = self._loop.time()
        if now != self._at:
            self._seen.clear()
            self._at = now
        elif key in self._seen:
            return self._seen[key]
        if not self._seen:
            # Runs before the loop looks for sockets again.
            self._loop.call_soon(self._seen.clear)
        found = self._seen[key] = self._peek(key)
        return found
