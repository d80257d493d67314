"""A real uvicorn with uvloop in a thread, over real files, and a client of raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from registry.access.seal import Seal
from registry.hot.cache import EVERYBODY, HotCache
from registry.hot.conditional import matches, not_modified_headers, read_tags
from registry.hot.patience import Patience
from registry.hot.protocol import hot_protocol
from registry.hot.pulled import Pulled
from registry.hot.sending import ZERO_COPY
from storage.driver import Witness

Headers = list[tuple[bytes, bytes]]
seal = Seal()


class Files:
    """A folder of small files, as the hot path sees a store."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def peek(self, key: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.root / key).read_bytes()
        return None


@dataclass
class Application:
    """The slow path: answers GET and HEAD out of `answers`, offers to the cache, reads bodies."""

    cache: HotCache
    files: Files
    answers: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # path → witness key, body
    asked: list[str] = field(default_factory=list)
    parts: dict[str, tuple[Path, int, int]] = field(default_factory=dict)  # path → file, offset, count
    received: list[dict[str, Any]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def add(self, path: str, key: str, body: bytes) -> None:
        (self.files.root / key).write_bytes(b"content of " + key.encode())
        self.answers[path] = (key, body)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append(f"{scope['method']} {path}")
        if path == "/upload":
            await self._upload(receive, send)
        elif path == "/early":
            await self._send(send, 413, [(b"connection", b"close")], b"too large")
        elif path == "/wait":
            await asyncio.to_thread(self.gate.wait)
            await self._send(send, 200, [], b"waited")
        elif path == "/ignores":
            # Never asks for the body, as an application that is busy with something else.
            await asyncio.to_thread(self.gate.wait)
            await self._upload(receive, send)
        elif path in self.answers:
            await self._get(scope, send)
        elif path in self.parts:
            await self._part(scope, send)
        else:
            await self._send(send, 404, [], b"no " + path.encode())

    async def _get(self, scope: Any, send: Any) -> None:
        key, body = self.answers[scope["path"]]
        witness = self.files.peek(key)
        if witness is None:
            await self._send(send, 404, [], b"gone")
            return
        etag = b'"%d"' % hash(body)
        headers: Headers = [
            (b"Content-Type", b"application/octet-stream"),
            (b"content-length", b"%d" % len(body)),
            (b"etag", etag),
            (b"cache-control", b"no-cache"),
            (b"x-witness", witness),
        ]
        given = dict(scope["headers"])
        condition = given.get(b"if-none-match")
        tags = None if condition is None else read_tags(condition)
        if tags is not None and matches(tags, etag):
            await self._send(send, 304, not_modified_headers(headers), b"", length=False)
            return
        await self._send(send, 200, headers, body, length=False)
        shown = given.get(b"authorization")
        audience = identify(None if shown is None else seal(shown))
        if scope["method"] == "GET" and audience is not None and not scope["query_string"]:
            pulled = scope["path"] if "/manifests/" in scope["path"] else ""
            self.cache.offer(scope["raw_path"], audience, headers, body, Witness(key, witness), pulled)

    async def _part(self, scope: Any, send: Any) -> None:
        path, offset, count = self.parts[scope["path"]]
        if ZERO_COPY not in scope.get("extensions", {}):
            await self._send(send, 200, [], b"in memory")
            return
        headers = [(b"content-length", b"%d" % count)]
        with path.open("rb") as file:
            path.unlink()
            try:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": ZERO_COPY, "file": file.fileno(), "offset": offset, "count": count})
            except BaseException as error:
                self.errors.append(error)
                raise

    async def _upload(self, receive: Any, send: Any) -> None:
        total = 0
        while True:
            message = await receive()
            self.received.append(message)
            if message["type"] == "http.disconnect":
                return
            total += len(message["body"])
            if not message["more_body"]:
                break
        await self._send(send, 201, [], b"%d" % total)

    async def _send(self, send: Any, status: int, headers: Headers, body: bytes, length: bool = True) -> None:
        if length:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def identify(sealed: bytes | None) -> str | None:
    """Everybody; alice; nobody else."""
    return {None: EVERYBODY, seal(b"Basic alice"): "alice"}.get(sealed)


@dataclass
class Served:
    """A server that runs: its parts, for the tests to look at."""

    port: int
    app: Application
    cache: HotCache
    files: Files
    server: uvicorn.Server
    thread: threading.Thread
    protocol: Any
    pulled: Pulled

    def stop(self) -> None:
        self.app.gate.set()
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive(), "the server does not stop"

    @property
    def connection(self) -> Any:
        """The server's side of the only connection."""
        (connection,) = self.server.server_state.connections
        return connection

    def connect(self, receive_buffer: int | None = None) -> Client:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Client(sock)

    def warm(self, *paths: str, audience: str = "everybody") -> None:
        """Let the slow path offer `paths` for `audience`."""
        extra = b"" if audience == "everybody" else b"Authorization: Basic " + audience.encode() + b"\r\n"
        with self.connect() as client:
            for path in paths:
                client.ask(path, extra=extra)
                eventually(partial(self._has, path, audience))

    def _has(self, path: str, audience: str) -> bool:
        return self.cache.find((path.encode(), audience)) is not None


@contextlib.contextmanager
def serving(
    root: Path,
    patience: Patience | None = None,
    *,
    budget: int = 64 << 20,
    send_buffer: int | None = None,
    **config: Any,
) -> Iterator[Served]:
    """A server over `root` with tiny limits where the test gives them."""
    files = Files(root)
    cache = HotCache(budget)
    app = Application(cache, files)
    pulled = Pulled()
    protocol = hot_protocol(cache, files, identify, patience, seal, pulled)
    sock = socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:  # connections inherit it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    settings = uvicorn.Config(
        app,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        server_header=False,
        **{"log_level": "critical", "access_log": False, **config},
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    eventually(lambda: server.started and bool(server.server_state.default_headers))
    served = Served(sock.getsockname()[1], app, cache, files, server, thread, protocol, pulled)
    try:
        yield served
    finally:
        served.stop()
        sock.close()


@dataclass
class Client:
    """A connection, byte by byte in the test's hands."""

    sock: socket.socket
    buffer: bytes = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, path: str, method: str = "GET", extra: bytes = b"") -> bytes:
        """Send a request and return the whole answer, its date masked."""
        self.send(head(path, method, extra))
        return self.answer(bodiless=method == "HEAD")

    def answer(self, bodiless: bool = False) -> bytes:
        """One answer, head and body, its date masked."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        lines, _, rest = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", lines)
        size = 0 if bodiless or length is None else int(length[1])
        while len(rest) < size:
            chunk = self.sock.recv(1 << 20)
            assert chunk, f"the answer ends after {len(rest)} of {size} bytes"
            rest += chunk
        self.buffer = rest[size:]
        return re.sub(rb"\r\ndate: [^\r]*GMT", b"\r\ndate: now", lines) + b"\r\n\r\n" + rest[:size]

    def end(self) -> bytes:
        """Everything up to the end of the stream; fails when the connection is reset instead."""
        while True:
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                return self.buffer
            self.buffer += chunk

    def _more(self) -> None:
        chunk = self.sock.recv(1 << 16)
        assert chunk, f"the stream ends after {self.buffer!r}"
        self.buffer += chunk


def head(path: str, method: str = "GET", extra: bytes = b"") -> bytes:
    """A plain request head with more header lines."""
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n".encode() + extra + b"\r\n"


def upload(size: int | None, extra: bytes = b"", path: str = "/upload") -> bytes:
    """The head of a PUT with a body of so many bytes; None: in chunks."""
    framing = b"Transfer-Encoding: chunked\r\n" if size is None else b"Content-Length: %d\r\n" % size
    return head(path, "PUT", framing + extra)


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until `condition` holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never became true"
        time.sleep(0.005)
