"""What stands between a registry and its S3 store: passes every byte as it is, but for the faults.

It speaks as much of HTTP/1.1 as it needs to know where a message ends: connections are kept, bodies are
streamed with a length or in chunks, `100 Continue` is passed on. The Host stays as it is: it is signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from types import TracebackType

from tests.outages.faults import Chance, Fault
from tests.real.process import free_port

LATE_SECONDS = 1.5
_PIECE = 64 << 10
_HEAD = 1 << 20


class _Broken(Exception):
    """The connection of the client is to be reset."""


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer up to its body."""

    head: bytes
    first: str
    fields: dict[str, str]

    @property
    def chunked(self) -> bool:
        return "chunked" in self.fields.get("transfer-encoding", "")

    @property
    def length(self) -> int:
        return int(self.fields.get("content-length", "0"))

    @property
    def method(self) -> str:
        return self.first.partition(" ")[0]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    @property
    def copies(self) -> bool:
        """Whether S3 may answer 200 and then fail (Amazon S3 API, CopyObject, CompleteMultipartUpload)."""
        target = self.first.split(" ")[1]
        return "x-amz-copy-source" in self.fields or (self.method == "POST" and "uploadId=" in target)


class Proxy:
    """A proxy of its own thread, before the S3 store at `port` of 127.0.0.1; a context.

    `chance` says what goes wrong. While it is `down` nothing listens, and what was connected is reset.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.chance = Chance(seed)
        self.port = free_port()
        self.failures: list[BaseException] = []
        self._store = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if error is None and self.failures:
            raise self.failures[0]

    def up(self) -> None:
        """Listen."""
        self._run(self._listen())

    def down(self) -> None:
        """Listen no more, and reset what is connected."""
        self._run(self._close())

    def _run(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=_HEAD)

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._open:
            _reset(writer)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        except (_Broken, OSError, asyncio.IncompleteReadError):
            _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)
        except BaseException as error:  # a fault of the proxy's own, which the test is to see
            self.failures.append(error)
            _reset(writer)
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Request after request of one client, each on the same connection to the store."""
        store: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (request := await _message(reader)) is not None:
                fault = self.chance.draw(copies=request.copies)
                if fault is Fault.RESET:
                    raise _Broken
                if fault in _REFUSED:
                    await self._refuse(fault, request, reader, writer)
                    continue
                if store is None:
                    store = await asyncio.open_connection("127.0.0.1", self._store, limit=_HEAD)
                exchange = _Exchange(request, reader, writer, *store)
                if not await exchange.pass_on(fault):
                    return
        finally:
            if store is not None:
                store[1].close()

    async def _refuse(
        self, fault: Fault, request: _Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer for the store, which sees nothing of it."""
        if "100-continue" in request.fields.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in _body(request, reader):
            pass
        writer.write(_error(fault, request.method))
        await writer.drain()


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    request: _Message
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    store: asyncio.StreamReader
    to_store: asyncio.StreamWriter

    async def pass_on(self, fault: Fault | None) -> bool:
        """Pass it on, in so far as nothing goes wrong; whether the connections can go on after it."""
        sending = asyncio.ensure_future(self._send(cut=fault is Fault.CUT_REQUEST))
        try:
            answer = await self._answer(sending, passed=fault in (None, Fault.LATE))
            if fault in (None, Fault.LATE):
                if fault is Fault.LATE:
                    await asyncio.sleep(LATE_SECONDS)
                self.to_client.write(answer.head)
                await self._each(self._answered(answer), self.to_client)
                if answer.status >= 400 and not sending.done():
                    return False  # refused without its body
                await sending
                return "close" not in answer.fields.get("connection", "")
            whole = b"".join([piece async for piece in self._answered(answer)])
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if fault is Fault.ERROR_AFTER:
            self.to_client.write(_error(fault, self.request.method))
            await self.to_client.drain()
            return True
        if fault is Fault.CUT_ANSWER:
            said = answer.head + whole
            self.to_client.write(said[: len(answer.head) + len(whole) // 2 if whole else len(said) // 2])
            await self.to_client.drain()
            await asyncio.sleep(0.01)  # a reset takes back what is still on its way
        if fault is Fault.HUNG:
            await self.client.read(1)  # until the client goes away
        raise _Broken

    async def _send(self, *, cut: bool) -> None:
        self.to_store.write(self.request.head)
        left = self.request.length // 2 if cut and not self.request.chunked else None
        async for piece in _body(self.request, self.client):
            if left is not None and len(piece) > left:
                self.to_store.write(piece[:left])
                break
            if left is not None:
                left -= len(piece)
            self.to_store.write(piece)
            await self.to_store.drain()
        await self.to_store.drain()
        if cut:
            _reset(self.to_store)
            raise _Broken

    async def _answer(self, sending: asyncio.Future[None], *, passed: bool) -> _Message:
        """The answer's head; what comes before it (1xx) is passed on."""
        while True:
            reading = asyncio.ensure_future(_message(self.store))
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and sending.exception() is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                sending.result()
            answer = await reading
            if answer is None:
                raise _Broken
            if answer.status >= 200:
                return answer
            if passed or self.request.fields.get("expect"):
                self.to_client.write(answer.head)
                await self.to_client.drain()

    def _answered(self, answer: _Message) -> AsyncIterator[bytes]:
        bodiless = self.request.method == "HEAD" or answer.status in (204, 304)
        return _nothing() if bodiless else _body(answer, self.store)

    async def _each(self, pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
        async for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await writer.drain()


_REFUSED = (Fault.ERROR, Fault.SLOW_DOWN, Fault.ERROR_WITHIN)
_ERRORS = {
    Fault.ERROR: ("500 Internal Server Error", "InternalError"),
    Fault.ERROR_AFTER: ("500 Internal Server Error", "InternalError"),
    Fault.SLOW_DOWN: ("503 Slow Down", "SlowDown"),
    Fault.ERROR_WITHIN: ("200 OK", "InternalError"),
}


def _error(fault: Fault, method: str) -> bytes:
    line, code = _ERRORS[fault]
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
    head = f"HTTP/1.1 {line}\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n\r\n"
    return (head + ("" if method == "HEAD" else text)).encode()


async def _message(reader: asyncio.StreamReader) -> _Message | None:
    """The next one; None at the end of the stream."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return _Message(head, first, fields)


async def _body(message: _Message, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Its body as it is framed, frame and all."""
    if not message.chunked:
        async for piece in _exactly(reader, message.length):
            yield piece
        return
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        yield line
        size = int(line.partition(b";")[0], 16)
        async for piece in _exactly(reader, size + 2 if size else 0):
            yield piece
    while line != b"\r\n":  # trailers
        line = await reader.readuntil(b"\r\n")
        yield line


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, _PIECE))
        if not piece:
            raise _Broken
        size -= len(piece)
        yield piece


async def _nothing() -> AsyncIterator[bytes]:
    for piece in ():
        yield piece


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, so that its other end sees a reset and no end of the stream."""
    transport = writer.transport
    with contextlib.suppress(OSError):
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    transport.abort()
