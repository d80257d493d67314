"""Answering with immutable content: validators, ranges, streams, and the hot path's share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse

from registry.api import ranges, zerocopy
from registry.api.call import Call
from registry.api.zerocopy import FileResponse
from registry.hot import conditional
from storage.digest import Digest
from storage.driver import ObjectMissing, Witness
from storage.errors import StoreUnavailable

_SLICE = 256 << 10
_WORTH_A_FILE = 1 << 20  # less than that is read at once

Read = Callable[[int, int | None], AsyncIterator[bytes]]


class Content:
    """Content of `size` bytes under a digest: `read(start, end)` gives its bytes as they are stored.

    Its answer is remembered for as long as the witness holds; without one it is not. `key` is the object that
    they are, where clients may fetch that from the store itself; `pulled` what who gets it has pulled.
    """

    def __init__(
        self,
        digest: Digest,
        size: int,
        read: Read,
        witness: Witness | None,
        headers: dict[str, str],
        *,
        key: str | None = None,
        pulled: str = "",
    ) -> None:
        self.digest = digest
        self.size = size
        self._read = read
        self._witness = witness
        self._key = key
        self._pulled = pulled
        self._headers = {"Content-Length": str(size), **headers, "ETag": f'"{digest}"'}

    async def answer(self, call: Call) -> Response:
        """200 with all of it, 206 with a part, 304 when the client has it; raises RangeNotSatisfiable.

        307 to the store where it is too large for memory: what is asked of a part is asked there.
        """
        response = await self._answer(call)
        if self._pulled and call.request.method == "GET":
            call.pulled(self._pulled)
        return response

    async def _answer(self, call: Call) -> Response:
        asked = call.request.headers
        etag = self._headers["ETag"]
        tags = conditional.read_tags(asked.get("if-none-match", "").encode("latin-1"))
        if tags and conditional.matches(tags, etag.encode()):
            response = Response(status_code=304, headers=self._headers)
            response.raw_headers = conditional.not_modified_headers(response.raw_headers)
            return response
        if call.request.method == "GET" and self._key is not None:
            locates = call.services.locates
            if locates is not None and not call.services.answers.holds(self.size):
                return self._elsewhere(await locates.locate(self._key))
        is_part = call.request.method == "GET" and asked.get("if-range", etag) == etag
        part = ranges.parse(asked.get("range"), self.size) if is_part else None
        if part:
            headers = {
                **self._headers,
                "Content-Length": str(part.end - part.start),
                "Content-Range": part.content_range,
            }
            return await self._streamed(call, part.start, part.end, 206, headers)
        if call.request.method == "HEAD":
            return Response(headers=self._headers)
        if self._witness is not None and self.size <= call.services.answers.largest:
            known = call.services.answers.known(call.path, call.audience, self._witness)
            if known is not None and len(known) == self.size:
                return StreamingResponse(_slices(known), headers=self._headers)
            body = await call.services.flights.once(self.digest, self.size, self._proven)
            if body is not None:
                response = StreamingResponse(_slices(body), headers=self._headers)
                call.services.answers.offer(
                    call.path, call.audience, response.raw_headers, body, self._witness, self._pulled
                )
                return response
        return await self._streamed(call, 0, self.size, 200, self._headers)

    def _elsewhere(self, url: str) -> Response:
        """Nobody may keep it: it is for this client, whose right was looked at, and for now."""
        return Response(
            status_code=307,
            headers={
                "Location": url,
                "Cache-Control": "no-store",
                "Docker-Content-Digest": str(self.digest),
            },
        )

    async def _streamed(
        self, call: Call, start: int, end: int, status: int, headers: dict[str, str]
    ) -> Response:
        """A part as it is read; what fails before its first piece is there is still raised here."""
        opens = call.services.opens
        if opens and self._key and end - start >= _WORTH_A_FILE and zerocopy.is_offered(call.request.scope):
            with contextlib.suppress(ObjectMissing):
                file = await opens.handle(self._key)
                return FileResponse(file, start, end, status, headers, self._cut(end))
        pieces = self._exactly(start, end)
        first = await anext(pieces, b"")
        return StreamingResponse(_resumed(first, pieces), status, headers)

    async def _proven(self) -> bytes:
        """The whole content, held against its digest."""
        body = b"".join([piece async for piece in self._exactly(0, self.size)])
        found = await asyncio.to_thread(Digest.of, body, self.digest.algorithm)
        if found != self.digest:
            raise StoreUnavailable(
                f"the stored bytes of {self.digest} are damaged.",
                fix="Push the content again, or restore it from a backup.",
            )
        return body

    async def _exactly(self, start: int, end: int) -> AsyncIterator[bytes]:
        sent = start
        with contextlib.suppress(ObjectMissing):
            async for piece in self._read(start, end):
                sent += len(piece)
                yield piece
        if sent != end:
            raise self._cut(end)

    def _cut(self, end: int) -> StoreUnavailable:
        return StoreUnavailable(
            f"the stored bytes of {self.digest} end before {end}.",
            fix="Push the content again, or restore it from a backup.",
        )


async def _resumed(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _slices(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for at in range(0, len(view), _SLICE):
        yield view[at : at + _SLICE]
