"""What Envoy sends requests on to in a trial: it notes what it sees and answers every request alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from registry.trial.message import MOST_BODY, Seen

MOST_SEEN = 100
"""Requests that are noted; the others are answered only."""

_PATIENCE = 30.0
_DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Echo:
    """A running upstream: its port of 127.0.0.1, and the requests that it has seen."""

    port: int
    seen: list[Seen]


@contextmanager
def listening(body: bytes) -> Iterator[Echo]:
    """Answer in threads of this process, 200 and `body`, until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer = body
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Echo(server.server_port, server.seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    answer = b""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.seen: list[Seen] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """An Envoy that is killed hangs up: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE

    def handle_one_request(self) -> None:
        """Any method, so not by a method of this class each."""
        self.raw_requestline = self.rfile.readline(_CHUNK)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        server = cast(_Server, self.server)
        seen = Seen(self.command, self.path, tuple(self.headers.items()), self._body())
        if len(server.seen) < MOST_SEEN:
            server.seen.append(seen)
        self.send_response_only(200)
        # Of its own Envoy would set the time, which differs from one request to the next.
        self.send_header("Date", _DATE)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(server.answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(server.answer)

    def log_message(self, *args: object) -> None:
        """What somebody sends who is not Envoy is nobody's business."""

    def _body(self) -> bytes:
        """The body of the request; what comes beyond MOST_BODY is read and dropped."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self._some(int(self.headers.get("Content-Length", "0")), 0)
        body = b""
        while size := int(self.rfile.readline(_CHUNK).partition(b";")[0], 16):
            body += self._some(size, len(body))
            self.rfile.readline(_CHUNK)
        while self.rfile.readline(_CHUNK).strip():
            pass
        return body

    def _some(self, size: int, already: int) -> bytes:
        kept = b""
        while size > 0 and (piece := self.rfile.read(min(size, _CHUNK))):
            size -= len(piece)
            kept += piece[: max(0, MOST_BODY - already - len(kept))]
        return kept
