"""A connection that guards itself: uvicorn's protocol with limits, time-outs and errors in the spec's form.

What uvicorn's lacks (0.54): any limit on the time or the size of a head, on the pace of a body, on a
peer that does not read; errors in order behind answers that are still under way; a close that lets the
peer read the answer while it is still sending.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from registry.hot import refusal as refusals
from registry.hot.patience import Asked, Pace, Patience, Stall, Watch, drop, unsent
from registry.hot.refusal import Refusal, Refused

_PIECE = 64 << 10  # what the parser is given at a time: it may hold that much beyond the head's limit
_LINE_OVERHEAD = 4  # ": " and CRLF
_PARTING = 0.5  # seconds for a head that is on its way when the server ends
_TLS_BUFFER = 64 << 10  # what TLS holds beyond what it has given away, of which it says nothing any more


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `patience` and `watch` are set by the subclass that a server is given."""

    patience: Patience
    watch: Watch

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Between messages, nothing under way, nothing of the next head here: only then may a hit be served.
        self.idle = True
        self._between = True  # the parser is between messages
        self._in_body = False  # a head is complete, its message is not
        self._under_way = 0  # requests whose answer is not complete
        self._deaf = False  # what comes is thrown away: this connection ends
        self._refusal: Refusal | None = None  # waits for the answers before it
        self._head_since: float | None = None
        self._head_bytes = 0  # given to the parser for this head, at most
        self._head_first = 0  # of which this much may have been another message's
        self._piece = 0
        self._asked = Asked()
        self._pace = Pace()
        self._stall: Stall | None = None
        self._linger_until: float | None = None
        self._is_tls = False
        self._parting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._gentle = _GentleTransport(self, transport)
        if transport.get_extra_info("sslcontext") is not None:
            self._is_tls = True
            transport.set_write_buffer_limits(high=_TLS_BUFFER)
        self._head_since = self.loop.time()
        self.watch.add(self, self.loop)
        if self.watch.ending:  # accepted, or its TLS agreed upon, meanwhile
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a request under way gets `http.disconnect`."""
        self.watch.discard(self)
        self._deaf, self.idle = True, False
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self.cycle is not None:
            # Else connection and cycle would hold one another until the garbage collector comes.
            self.cycle.transport = self.transport
        del self._gentle

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to uvicorn's other protocol."""
        self.watch.discard(self)
        super().handle_websocket_upgrade()

    def leave(self) -> bool:
        """See `Watched`."""
        rests = not (self._under_way or self._in_body or self.transport.is_closing())
        if rests:
            self.transport.close()
        return rests

    def shutdown(self) -> None:
        """Finish what is under way, or on its way, then close."""
        if self._head_since is None:
            self._part()
        elif not self._parting:
            # Who has just connected, or begun to ask, would not ask again.
            self._parting, self.idle = True, False
            self.loop.call_later(_PARTING, self._part)

    def _part(self) -> None:
        if self._linger_until is not None:
            return  # it ends by itself
        if self._in_body and self.cycle.response_complete:
            self._hang_up()
        else:
            super().shutdown()

    # What comes

    def data_received(self, data: bytes) -> None:
        """Give `data` to the parser in pieces; a refusal ends the connection in good order."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self.idle = False
        try:
            self._feed(data)
        except Refused as refused:
            self._refuse(refused.refusal)
        except httptools.HttpParserError as error:
            # What a callback raises arrives as the context of the parser's own error.
            cause = error.__context__
            self._refuse(cause.refusal if isinstance(cause, Refused) else refusals.MALFORMED)
        else:
            if self._between and not self._under_way and not self.idle and self._head_since is None:
                # Nothing but empty lines since the last answer: the clock of the next head runs.
                self._head_since = self.loop.time()

    def _feed(self, data: bytes) -> None:
        view = memoryview(data)
        start, limit = 0, self.patience.head_bytes
        while start < len(data):
            piece = view[start : start + _PIECE] if len(data) > _PIECE else data
            self._piece = len(piece)
            self._head_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                # Declined, so what follows is HTTP/1.1 still (RFC 9110, 7.8).
                start += upgrade.args[0]
                data, view, start = data[start:], view[start:], 0
                continue
            if not self._between and not self._in_body and self._head_bytes - self._head_first > limit:
                raise Refused(refusals.head_too_large(limit, self.patience.head_fields))
            start += len(piece)

    def on_message_begin(self) -> None:
        """A head begins: its clock and its size too."""
        super().on_message_begin()
        self._between = self.idle = False
        self._unset_keepalive_if_required()
        self._head_since = self.loop.time()
        self._head_bytes = self._head_first = self._piece

    def on_headers_complete(self) -> None:
        """A head is complete: judge it before the application sees it."""
        self._judge_head()
        before = self.cycle
        super().on_headers_complete()
        self._head_since = None
        if self.cycle is before:
            return
        self._under_way += 1
        self._in_body = True
        self._pace = Pace()
        # The task begins at the loop's next step, so both are in place before the application runs.
        self.cycle.keep_alive &= not self._parting
        self.cycle.message_event = self._asked = Asked()
        self.cycle.transport = self._gentle

    def _judge_head(self) -> None:
        limit, fields = self.patience.head_bytes, self.patience.head_fields
        # The sum is made only where what was fed could be too much.
        if len(self.headers) > fields or (
            self._head_bytes > limit
            and len(self.url) + sum(len(name) + len(value) + _LINE_OVERHEAD for name, value in self.headers)
            > limit
        ):
            raise Refused(refusals.head_too_large(limit, fields))
        if self.parser.get_method() == b"CONNECT":  # what follows it is no request, nor its body
            raise Refused(refusals.TUNNEL)
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise Refused(refusals.HOST_AMBIGUOUS)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._pace.came(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        super().on_message_complete()
        self._in_body = False
        self._between = True
        if not self._under_way:
            # It was answered before its end, which uvicorn's keep-alive timer did not outlive.
            self._rest()

    def on_response_complete(self) -> None:
        """An answer is complete: the next one in the pipeline, the refusal that waited, or rest."""
        self._under_way -= 1
        super().on_response_complete()
        if self._linger_until is not None:
            self._unset_keepalive_if_required()
        elif self._refusal is not None:
            if not self._under_way:
                self._send_refusal()
        elif not self._under_way and self._between:
            self.idle = not self.transport.is_closing()

    def _rest(self) -> None:
        if self.transport.is_closing() or self._deaf:
            return
        self.idle = True
        self.keep_alive()

    def keep_alive(self) -> None:
        """Let uvicorn's keep-alive timer run, if it does not."""
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def resume_writing(self) -> None:
        """The peer reads."""
        self._stall = None
        super().resume_writing()

    # How it ends

    def _refuse(self, refusal: Refusal) -> None:
        """Hear no more; answer `refusal` behind the answers that are under way, if the stream allows it."""
        self.logger.info("refused a request of %s: %s", self.client, refusal.error)
        self._deaf, self.idle, self._head_since = True, False, None
        if self._in_body:
            self._in_body = False
            cycle = self.cycle
            if cycle.response_complete:
                self._hang_up()
                return
            # The application gets http.disconnect, and what it still sends goes nowhere.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
            self._under_way -= 1
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
        self._refusal = refusal
        if not self._under_way:
            self._send_refusal()

    def _send_refusal(self) -> None:
        refusal = self._refusal
        if refusal is None or self.transport.is_closing():
            return
        self.transport.write(refusal.render(self.server_state.default_headers))
        self._hang_up()

    def close_gently(self) -> None:
        """Close after an answer; where its request is still coming, so that the peer can read the answer."""
        if self._in_body:
            self._hang_up()
        else:
            self.transport.close()

    def _hang_up(self) -> None:
        """Say that no more will be sent, and read on for a while: closing now would reset the connection."""
        self._deaf, self.idle = True, False
        self.pipeline.clear()  # what was asked behind the last answer is not begun
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger_until = self.loop.time() + self.patience.linger_seconds

    # The look of the watch

    def look(self, now: float, elapsed: float) -> None:
        """Judge the connection: at most one thing ends it."""
        if self._is_tls and self.transport.is_closing() and not unsent(self.transport):
            self.transport.abort()  # the peer has all of it, and TLS would wait for a good-bye
            return
        is_ending = self._linger_until is not None or self.transport.is_closing()
        # Writing over TLS is not paused by what waits below it: only the kernel's queue tells of that.
        if self.flow.write_paused or is_ending or (self._is_tls and unsent(self.transport)):
            self._look_at_writing(now)
        else:
            self._stall = None
        if self._deaf or self.transport.is_closing():
            return
        if self._in_body:
            self._look_at_body(elapsed)
        elif self._head_since is not None:
            self._look_at_head(now, self._head_since)

    def _look_at_writing(self, now: float) -> None:
        pending = unsent(self.transport)
        if self._stall is None:
            self._stall = Stall(now, pending)
        if self._stall.lasts(now, pending, self.patience):
            drop(self.transport)
        elif self._linger_until is not None and now >= self._linger_until:
            self.transport.close()

    def _look_at_head(self, now: float, since: float) -> None:
        if self.flow.read_paused:
            # Not read at our own wish: its time begins anew.
            self._head_since = now
        elif now - since >= self.patience.head_seconds:
            if self._between:
                self.transport.close()
            else:
                self._refuse(refusals.HEAD_LATE)

    def _look_at_body(self, elapsed: float) -> None:
        willing = not self.flow.read_paused and (self._asked.waiting or self.cycle.response_complete)
        if willing and self._pace.too_slow(elapsed, self.patience):
            self._refuse(refusals.BODY_SLOW)


class _GentleTransport(asyncio.Transport):
    """What a cycle writes to: the transport, closed gently."""

    def __init__(self, protocol: GuardedProtocol, transport: asyncio.Transport) -> None:
        super().__init__()
        self.protocol = protocol
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self.protocol.close_gently()
