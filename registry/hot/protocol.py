"""A hit is answered here, from memory, before any ASGI scope or task exists; all else is uvicorn's.

Only where the connection is idle and what came is exactly one plain head (`registry.hot.head`): then the
parser has nothing half read, and whether it or this reader takes the message makes no difference to
either. The answer's bytes are those of the slow path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from registry.hot.cache import EVERYBODY, Entry, HotCache
from registry.hot.conditional import matches
from registry.hot.glance import Glance
from registry.hot.head import Head, HeadMemo
from registry.hot.patience import Patience, Watch
from registry.hot.pulled import Pulled
from registry.hot.sending import SendingProtocol
from storage.driver import Peek

Identify = Callable[[bytes | None], str | None]
"""From the seal of `Authorization` to an audience; None: the slow path decides."""

SLICE = 256 << 10
"""The most of a body that is given to the transport at a time."""

LATELY = 1000
"""Heads of which it is known for a second what was noted."""

AGAIN = 4 << 10
"""The longest head that a connection remembers as it came, to know it when it comes again."""

_JOINED = 16 << 10  # up to this size one copy is cheaper than a second write


def hot_protocol(
    cache: HotCache,
    store: Peek,
    identify: Identify,
    patience: Patience | None = None,
    seal: Callable[[bytes], bytes] | None = None,
    pulled: Pulled | None = None,
) -> type[HotProtocol]:
    """The protocol class for uvicorn's `Config(http=…)` that answers out of `cache`.

    One class a process: its connections share the cache, the memo of heads and the watch. `seal` is the keyed
    hash under which `identify` knows what was in `Authorization`. Pulls are noted in `pulled`.
    """
    limits = patience or Patience()

    class ConfiguredProtocol(HotProtocol):
        patience = limits
        watch = Watch(limits.look_seconds, limits.connections)
        hot = Hot(cache, store, identify, limits, seal, pulled)

    return ConfiguredProtocol


class Hot:
    """What the connections of a process share."""

    def __init__(
        self,
        cache: HotCache,
        store: Peek,
        identify: Identify,
        patience: Patience,
        seal: Callable[[bytes], bytes] | None = None,
        pulled: Pulled | None = None,
    ) -> None:
        self.cache = cache
        self.store = store
        self.glance: Glance | None = None
        self.identify = identify
        self.pulled = Pulled() if pulled is None else pulled
        self.lately: dict[Head, str] = {}  # what was noted this second, and need not be again
        self.heads = HeadMemo(cache.heads_budget, patience.head_bytes, patience.head_fields, seal)
        self.default_headers: list[tuple[bytes, bytes]] | None = None
        self.ok = b""
        self.not_modified = b""

    def look(self, loop: asyncio.AbstractEventLoop) -> Glance:
        """How witnesses are looked at, for all connections of the loop that serves them."""
        if self.glance is None:
            self.glance = Glance(self.store, loop)
        return self.glance

    def render(self, default_headers: list[tuple[bytes, bytes]]) -> None:
        """Status lines with uvicorn's own headers, of which it makes a new list every second."""
        self.lately.clear()
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in default_headers)
        self.default_headers = default_headers
        self.ok = STATUS_LINE[200] + lines
        self.not_modified = STATUS_LINE[304] + lines


class HotProtocol(SendingProtocol):
    """One connection. `hot` is set by the subclass that a server is given."""

    hot: Hot

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._known = self.hot.heads.known
        self._sealed = self.hot.heads.sealed
        self._peek = self.hot.look(self.loop).peek
        # What was answered here last: most ask that again, and comparing beats hashing. A credential in it
        # stays no longer than the connection, as it does in uvicorn's own scope of a request.
        self._last = b""
        self._last_head: Head | None = None
        self._answered_at = 0.0
        self._body: memoryview[int] | None = None  # an answer that is not yet written, or not yet taken
        self._position = 0
        self._held = bytearray()  # what came meanwhile: at most what was read before reading stopped
        self._leaving = False

    def data_received(self, data: bytes) -> None:
        """A hit, or the parser's."""
        if self.idle:
            head = self._last_head if data == self._last else self._known.get(data) or self._sealed(data)
            if head is not None:
                if self._answer(head):
                    if head is not self._last_head and len(data) <= AGAIN:
                        self._last, self._last_head = data, head
                    return
            else:
                head = self.hot.heads.read(data)
                if head is not None and self._answer(head):
                    self.hot.heads.keep(data, head)
                    return
        elif self._body is not None:
            self._held += data
            return
        super().data_received(data)

    def leave(self) -> bool:
        """See `registry.hot.patience.Watched`."""
        return self._body is None and super().leave()

    def _answer(self, head: Head) -> bool:
        """Answer from memory; False, and nothing has happened, where only the application can."""
        limit = self.limit_concurrency
        state = self.server_state
        busy = limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)
        # A peer that asks on and on without reading is the application's, whose sends wait for it.
        if busy or self.flow.write_paused:
            return False
        hot = self.hot
        audience = hot.identify(head.authorization)
        if audience is None:
            return False
        cache = hot.cache
        place = (head.target, audience)
        entry = cache.find(place)
        if entry is None and audience != EVERYBODY:
            place = (head.target, EVERYBODY)
            entry = cache.find(place)
        if entry is None:
            cache.misses += 1
            return False
        seen = self._peek(entry.witness_key)
        if seen is None:
            # Gone, or not to be had without waiting: the application, which waits, is glad of the bytes.
            cache.misses += 1
            return False
        if not seen.startswith(entry.witness_content) or (entry.beside and not self._stands(entry)):
            cache.stale += 1
            cache.drop(place)
            return False
        cache.hits += 1
        state.total_requests += 1
        self._head_since = None
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.keep_alive()
        if hot.default_headers is not state.default_headers:
            hot.render(state.default_headers)
        if hot.lately.get(head) is not entry.pulled:
            if entry.pulled and not head.bodiless:
                hot.pulled.note(entry.pulled, audience, head.agent, self._answered_at)
            if len(hot.lately) < LATELY:
                hot.lately[head] = entry.pulled
        self._write(head, entry)
        return True

    def _stands(self, entry: Entry) -> bool:
        """Whether what is beside its witness holds, too; most have nothing there."""
        return all((self._peek(one.key) or b"").startswith(one.content) for one in entry.beside)

    def _write(self, head: Head, entry: Entry) -> None:
        hot = self.hot
        if head.tags is not None and matches(head.tags, entry.etag):
            status = 304
            self.transport.write(hot.not_modified + entry.not_modified)
        elif head.bodiless:
            status = 200
            self.transport.write(hot.ok + entry.headers)
        else:
            status = 200
            body = entry.body
            hot.cache.sent += len(body)
            if len(body) <= _JOINED:
                self.transport.write(hot.ok + entry.headers + body)
            else:
                self.transport.write(hot.ok + entry.headers)
                self._begin(memoryview(body))
        if self.access_log:
            client = "{}:{}".format(*self.client) if self.client else ""
            path = head.target.decode("ascii")
            method = "HEAD" if head.bodiless else "GET"
            self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, method, path, "1.1", status)

    # A body, in slices, as fast as the peer takes it

    def _begin(self, body: memoryview[int]) -> None:
        self._body, self._position = body, 0
        self.idle = False
        if not self._written():
            self._unset_keepalive_if_required()
            self.flow.pause_reading()
        else:
            self._body = None
            self.idle = True

    def _written(self) -> bool:
        """Write on as far as the transport takes it; whether all of it is written and taken."""
        body = self._body
        while body is not None and self._position < len(body):
            if self.flow.write_paused or self.transport.is_closing():
                break
            start = self._position
            self._position = start + SLICE
            self.transport.write(body[start : start + SLICE])
        return not self.flow.write_paused

    def resume_writing(self) -> None:
        """Go on with the body; after its end, with what came meanwhile."""
        super().resume_writing()
        if self._body is None or self.transport.is_closing() or not self._written():
            return
        self._body = None
        self._answered_at = self.loop.time()
        self.flow.resume_reading()
        self._rest()
        if self._held:
            held, self._held = bytes(self._held), bytearray()
            self.data_received(held)
        if self._leaving and self._body is None:
            super().shutdown()

    # How it ends

    def timeout_keep_alive_handler(self) -> None:
        """Close what has been idle; a hit only notes its time, so the timer may ring too early."""
        self.timeout_keep_alive_task = None
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Finish the answer under way, then close."""
        if self._body is not None:
            self._leaving = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the body, and of what was asked."""
        self._body = None
        self._last, self._last_head = b"", None
        self._held.clear()
        super().connection_lost(exc)
