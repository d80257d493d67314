"""Parts of files, which the kernel sends by itself: ASGI's extension Zero Copy Send.

What is read into memory first costs a copy, and fresh memory for it, of every byte. Not over TLS, whose bytes
are made here. A thread sends as long as the peer takes all at once; between that, the loop waits for it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from registry.hot.guard import GuardedProtocol
from storage.files import step

ZERO_COPY = "http.response.zerocopysend"
"""The extension's name, and its message's."""

TURN = 16 << 20
"""Bytes that a thread sends until others have theirs."""

ROOM = 1 << 20
"""Bytes that the kernel holds for a peer that takes all that at once: it is worth twice as much a second."""

_READY_MS = 1  # a peer that needs longer to make room is waited for without a thread


class SendingProtocol(GuardedProtocol):
    """A connection over which an application may send parts of files."""

    _room: asyncio.Future[None] | None = None  # what waits for the peer to take more

    def on_headers_complete(self) -> None:
        """Offer the extension to the application."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and not self._is_tls:
            self.scope["extensions"] = {ZERO_COPY: {}}
            self.cycle.__class__ = _Cycle  # uvicorn makes it, and asks for no class

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for it no more."""
        super().connection_lost(exc)
        if self._room is not None:
            _settle(self._room)

    async def send_file(self, file: int, at: int, end: int) -> None:
        """Send what an open file has there, behind what was written before; raises EOFError where it ends.

        Raises StoreUnavailable where it cannot be read. A peer that goes is no error.
        """
        # A number of our own: the transport's belongs to the loop.
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as out:
            room = out.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2  # the kernel has doubled it
            try:
                while at < end and await self._writable(out):
                    before, at = at, await step(asyncio.to_thread(_push, out, file, at, min(end, at + TURN)))
                    if at > before:
                        self._stall = None
                    if at - before == TURN:
                        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(room, ROOM))
            except _PeerGone:
                self.transport.abort()
            finally:
                out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
                self.flow.resume_writing()

    async def _writable(self, out: socket.socket) -> bool:
        """Wait for what was written to be gone and for room for more; whether the connection lives."""
        while not self.transport.is_closing():
            self.flow.pause_writing()  # so that the watch looks whether the peer reads
            self._room = self.loop.create_future()
            self.loop.add_writer(out, _settle, self._room)
            try:
                await self._room
            finally:
                self._room = None
                self.loop.remove_writer(out)
            if not self.transport.get_write_buffer_size():
                break
        return not self.transport.is_closing()


class _Cycle(RequestResponseCycle):
    """uvicorn's, which knows the extension's message."""

    async def send(self, message: Any) -> None:
        if message["type"] == ZERO_COPY and not self.disconnected:
            offset, count = message["offset"], message["count"]
            protocol = cast(Any, self.transport).protocol  # see `GuardedProtocol`
            await protocol.send_file(message["file"], offset, offset + count)
            self.expected_content_length -= count
            message = {"type": "http.response.body", "more_body": message.get("more_body", False)}
        await super().send(message)


class _PeerGone(Exception):
    """The peer takes no more."""


def _settle(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


def _push(out: socket.socket, file: int, at: int, end: int) -> int:
    """Send until `end`, or until the peer takes no more for a moment; how far that was."""
    ready = select.poll()
    ready.register(out, select.POLLOUT)
    while at < end:
        try:
            sent = os.sendfile(out.fileno(), file, at, end - at)
        except BlockingIOError:
            if not ready.poll(_READY_MS):
                break
            continue
        except ConnectionError:
            raise _PeerGone from None
        if not sent:
            raise EOFError
        at += sent
    return at
