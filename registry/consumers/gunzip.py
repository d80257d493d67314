"""A gzip stream, inflated in steps and never further than asked: what Go's compress/gzip would give.

Members follow one another as one stream. Bytes before a fault are given, as Go gives them; then the
stream ends and `fault` says why. Only the reserved flags of a member's header are a fault here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, cast

from zlib_ng import zlib_ng  # what zlib refuses it refuses, in half the time

MAX_MEMBERS = 100_000
_STEP = 16 << 10  # of the input at once: zlib copies the rest of it at every call
_PIECE = 256 << 10  # of the output at once
_SLACK = 16 << 20  # of input over the limit: what does not shrink grows a little
_HEAD = 300
_WRAPPED = 31  # zlib's number for a gzip header and trailer
_ERROR = cast(type[Exception], zlib_ng.error)


class _Engine(Protocol):
    """An inflater, as zlib has it; the library's own stubs leave out `copy`."""

    unused_data: bytes
    unconsumed_tail: bytes
    eof: bool

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...

    def copy(self) -> _Engine: ...


class Gunzip:
    """What is in a gzip stream, up to `limit` bytes of it; `fault` is set once it has ended early.

    `head` and `inside` are the first bytes of the stream and of what was in it.
    """

    def __init__(self, chunks: Iterable[bytes], limit: int) -> None:
        self.fault = ""
        self.head = b""
        self.inside = b""
        self._left = limit
        self._input_left = limit + _SLACK
        self._piece = b""
        self._at = 0
        self._pieces = self._inflate(chunks)

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        end = self._at + size
        if end <= len(self._piece):
            found = self._piece[self._at : end]
            self._at = end
            return found
        out = bytearray()
        self._pass(size, out.extend)
        return bytes(out)

    def skip(self, size: int) -> int:
        """Leave out `size` bytes; gives how many there were."""
        return self._pass(size, None)

    def copy(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces; fewer only at the end."""
        while size > 0 and (self._at < len(self._piece) or self._fill()):
            piece = self._piece[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def _pass(self, size: int, take: Callable[[bytes], object] | None) -> int:
        passed = 0
        while passed < size and (self._at < len(self._piece) or self._fill()):
            step = min(size - passed, len(self._piece) - self._at)
            if take:
                take(self._piece[self._at : self._at + step])
            self._at += step
            passed += step
        return passed

    def _fill(self) -> bool:
        """Fetch the next piece; False at the end."""
        if self._left <= 0:
            self.fault = self.fault or "it is over the limit"
            return False
        self._piece, self._at = next(self._pieces, b"")[: self._left], 0
        self._left -= len(self._piece)
        self.inside = self.inside or self._piece[:_HEAD]
        return bool(self._piece)

    def _inflate(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        engine, fed, members = _engine(), False, 0
        for step in self._steps(chunks):
            data, fed, full = step, True, False
            while data or full:
                before = engine.copy()
                try:
                    out = engine.decompress(data, _PIECE)
                except _ERROR as error:
                    yield from _sound(before, data)
                    self.fault = f"gzip: {str(error).rpartition(': ')[2]}"
                    return
                if out:
                    yield out
                full = len(out) == _PIECE
                data = engine.unconsumed_tail
                if engine.eof:
                    data, full = engine.unused_data, False
                    engine, fed = _engine(), bool(data)
                    members += 1
                    if members > MAX_MEMBERS:
                        self.fault = f"gzip: more than {MAX_MEMBERS} members"
                        return
        if fed or not members:
            self.fault = self.fault or ("gzip: unexpected EOF" if fed else "gzip: EOF, it is empty")

    def _steps(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if not self.head:
                self.head = chunk[:_HEAD]
            for at in range(0, len(chunk), _STEP):
                data = chunk[at : at + _STEP]
                self._input_left -= len(data)
                if self._input_left < 0:
                    self.fault = "it is over the limit"
                    return
                yield data


def _engine() -> _Engine:
    return cast(_Engine, zlib_ng.decompressobj(_WRAPPED))


def _sound(engine: _Engine, data: bytes) -> Iterator[bytes]:
    """What the failed step would have given before the fault: zlib keeps it back, Go does not.

    Byte for byte: zlib reads on as long as it has input, and says of its output only when all went well.
    """
    for at in range(len(data)):
        try:
            out = engine.decompress(data[at : at + 1], 0)
        except _ERROR:
            return
        if out:
            yield out
