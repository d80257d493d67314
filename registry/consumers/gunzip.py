"""A gzip stream, inflated in steps and never further than asked: what Go's compress/gzip would give.

Members follow one another as one stream. Bytes before a fault are given, as Go gives them; then the
stream ends and `fault` says why.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

MAX_MEMBERS = 100_000
_STEP = 16 << 10  # of the input at once: zlib copies the rest of it at every call
_PIECE = 256 << 10  # of the output at once
_SLACK = 16 << 20  # of input over the limit: what does not shrink grows a little
_HEAD = 300
_WRAPPED = 31  # zlib's number for a gzip header and trailer


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
        engine, fed, members = zlib.decompressobj(_WRAPPED), False, 0
        for step in self._steps(chunks):
            data, fed, full = step, True, False
            while data or full:
                before = engine.copy()
                try:
                    out = engine.decompress(data, _PIECE)
                except zlib.error as error:
                    yield from _sound(before, data)
                    self.fault = f"gzip: {str(error).rpartition(': ')[2]}"
                    return
                if out:
                    yield out
                full = len(out) == _PIECE
                data = engine.unconsumed_tail
                if engine.eof:
                    data, full = engine.unused_data, False
                    engine, fed = zlib.decompressobj(_WRAPPED), bool(data)
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


def _sound(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What the failed step would have given before the fault: zlib keeps it back, Go does not."""
    step = _PIECE
    while step:
        attempt = engine.copy()
        try:
            out = attempt.decompress(data, step)
        except zlib.error:
            step //= 2
            continue
        engine, data = attempt, attempt.unconsumed_tail
        if not out:
            return
        yield out
