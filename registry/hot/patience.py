"""How long a peer is waited for: the limits, and the one timer a process that looks at every connection.

uvicorn itself waits for ever for a head, for a body, and for a peer that does not read. Here nothing is
set up for a request: a connection notes what happens to it, and about once a second it is asked what
that means (`Watched.look`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from dataclasses import dataclass
from typing import Protocol

from registry.hot.head import MAX_BYTES, MAX_FIELDS


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of a connection, in seconds and bytes.

    A head is complete `head_seconds` after its first byte (the first one: after the connection opened)
    and has at most `head_bytes` and `head_fields`. A body comes at `min_rate` bytes a second, averaged
    over `rate_window` seconds in which we wanted to read. A peer that takes nothing of its answer for
    `stall_seconds` is dropped. After a refusal, or an answer before its request's end, what still comes is
    read and thrown away for `linger_seconds`. All of it is looked at every `look_seconds`. There are
    `connections` at a time (None: any number): beyond that the oldest one with nothing under way gives its
    place to the one that comes.
    """

    head_seconds: float = 15.0
    head_bytes: int = MAX_BYTES
    head_fields: int = MAX_FIELDS
    min_rate: int = 1 << 10
    rate_window: float = 20.0
    stall_seconds: float = 60.0
    linger_seconds: float = 5.0
    look_seconds: float = 1.0
    connections: int | None = None


class Watched(Protocol):
    """A connection, as the watch sees it."""

    def look(self, now: float, elapsed: float) -> None:
        """Judge the connection at `now` (the loop's time), `elapsed` seconds after the last look."""

    def leave(self) -> bool:
        """Close it if no request is under way, that is, one whose head has come; whether it does."""


class Watch:
    """All connections of a process and the timer that looks at them; it rests while there are none."""

    def __init__(self, interval: float, most: int | None = None) -> None:
        self._interval = interval
        self._most = most
        self._connections: dict[Watched, None] = {}  # the oldest first
        self._looked = 0.0
        self.ending = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Watched, loop: asyncio.AbstractEventLoop) -> None:
        """Look at `connection` from now on; of too many, one that rests makes room."""
        if self._most is not None and len(self._connections) >= self._most:
            any(other.leave() for other in tuple(self._connections))
        self._connections[connection] = None
        if self._timer is None:
            self._looked = loop.time()
            self._timer = loop.call_later(self._interval, self._look, loop)

    def end(self) -> None:
        """The process ends: who comes from now on is answered once, if at once."""
        self.ending = True

    def discard(self, connection: Watched) -> None:
        """Look at it no more."""
        self._connections.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        elapsed, self._looked = now - self._looked, now
        if self._connections:
            self._timer = loop.call_later(self._interval, self._look, loop)
        for connection in tuple(self._connections):
            connection.look(now, elapsed)


class Pace:
    """Whether a body moves on: bytes that came against the time in which we were willing to take them."""

    __slots__ = ("_bytes", "_willing")

    def __init__(self) -> None:
        self._bytes = 0
        self._willing = 0.0

    def came(self, count: int) -> None:
        """`count` bytes of the body have come."""
        self._bytes += count

    def too_slow(self, elapsed: float, patience: Patience) -> bool:
        """Add `elapsed` seconds of waiting; whether a window is over and held too little."""
        self._willing += elapsed
        if self._willing < patience.rate_window:
            return False
        slow = self._bytes < patience.min_rate * self._willing
        self._bytes, self._willing = 0, 0.0
        return slow


class Asked(asyncio.Event):
    """That more of a body has come; it knows whether the application waits for that."""

    waiting = False

    async def wait(self) -> bool:  # type: ignore[override]
        """Wait for more; always True."""
        self.waiting = True
        try:
            return await super().wait()
        finally:
            self.waiting = False


class Stall:
    """Whether a peer reads what is sent to it: since when the bytes under way have not become fewer."""

    __slots__ = ("_pending", "_since")

    def __init__(self, now: float, pending: int) -> None:
        self._since = now
        self._pending = pending

    def lasts(self, now: float, pending: int, patience: Patience) -> bool:
        """Note that `pending` bytes are under way at `now`; whether they have stood still for too long."""
        if pending < self._pending:
            self._since = now
        self._pending = pending
        return now - self._since >= patience.stall_seconds


def unsent(transport: asyncio.Transport) -> int:
    """The bytes that the peer has not acknowledged: the transport's and, where it can be asked, the kernel's.

    The kernel reports room only when a third of its buffer (megabytes) is free: a slow but honest
    reader shows in its queue alone.
    """
    pending = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    try:
        queue = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, AttributeError):
        return pending
    return pending + int.from_bytes(queue, sys.byteorder)


def drop(transport: asyncio.Transport) -> None:
    """End a connection whose peer does not read: by a reset, else the kernel would keep what it holds."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
