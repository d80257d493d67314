"""A file that may be packed, by gzip or zstd, read forward: never more of it than a budget allows."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP, ZSTD = "gzip", "zstd"
_SIGNS = ((b"\x1f\x8b", GZIP), (b"\x28\xb5\x2f\xfd", ZSTD))
_HEAD = 512
_PIECE = 256 << 10
# What zstd keeps of what it has unpacked: its own default, and what `zstd --long` asks for.
_WINDOW_LOG = 27


class OverBudget(Exception):
    """More than the budget would be unpacked."""


class Damaged(Exception):
    """What is packed cannot be unpacked; its text says why."""


@dataclass(slots=True)
class Budget:
    """How many bytes may still be unpacked, all files together."""

    left: int

    def take(self, size: int) -> None:
        """Use some of it; raises OverBudget."""
        self.left -= size
        if self.left < 0:
            raise OverBudget


def packing(head: bytes) -> str:
    """By what a file with these first bytes is packed: `gzip`, `zstd`, or "" for neither."""
    return next((name for sign, name in _SIGNS if head.startswith(sign)), "")


class Unpacked:
    """The content of a file, unpacked once (a `Stream` of `registry.consumers.tar`).

    `packing` says by what it was packed, `head` are the first bytes of the content. Every reading
    raises OverBudget or Damaged.
    """

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        file.seek(0)
        self.packing = packing(file.read(4))
        file.seek(0)
        self.fault = ""
        self._file = _reader(file, self.packing)
        self._budget = budget
        self.head = b""
        self.head = self._piece(_HEAD)
        self._ahead = self.head

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        return b"".join(self.copy(size))

    def skip(self, size: int) -> int:
        """Leave out `size` bytes; gives how many there were."""
        return sum(map(len, self.copy(size)))

    def copy(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces; fewer only at the end."""
        while size > 0:
            piece = self._ahead[:size]
            self._ahead = self._ahead[size:]
            if not piece:
                piece = self._piece(min(size, _PIECE))
                if not piece:
                    return
            size -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        """All that is left, in pieces."""
        return self.copy(sys.maxsize)

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
            raise Damaged(f"{self.packing}: {str(error)[:80]}") from None
        self._budget.take(len(piece))
        return piece


def unpack(file: BinaryIO, into: BinaryIO, budget: Budget) -> None:
    """Write the whole content of a file to another one; raises OverBudget or Damaged."""
    for piece in Unpacked(file, budget).rest():
        into.write(piece)
    into.seek(0)


def _reader(file: BinaryIO, packed_by: str) -> BinaryIO:
    open_packed: dict[str, Callable[[], object]] = {
        GZIP: lambda: gzip.GzipFile(fileobj=file, mode="rb"),
        ZSTD: lambda: zstd.ZstdFile(
            file, "rb", options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        ),
        "": lambda: file,
    }
    return cast(BinaryIO, open_packed[packed_by]())
