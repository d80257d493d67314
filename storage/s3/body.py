"""What a call sends, read out of the memory where it is: boto3 would copy a part before it sends it."""

from __future__ import annotations

import os

_AT_ONCE = 64 << 10  # of 32 threads at a time

Bytes = bytes | bytearray | memoryview
"""Bytes, wherever they are."""


class Body:
    """A file of bytes in several places, as boto3 takes it. They stay as they are until the call has ended.

    Nothing of them is held between two reads: a `bytearray` can be cleared as soon as the call has ended,
    whoever still knows of this file.
    """

    def __init__(self, *places: Bytes) -> None:
        self._places = places
        self._size = sum(map(len, places))
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` of them at most and not more than are well copied; b"" at the end."""
        left = _AT_ONCE if size < 0 else min(size, _AT_ONCE)
        start, pieces = self._at, []
        for place in self._places:
            if start < len(place) and left:
                with memoryview(place) as view:
                    pieces.append(bytes(view[start : start + left]))
                left -= len(pieces[-1])
                start = 0
            else:
                start = max(0, start - len(place))
        piece = b"".join(pieces)
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on reading elsewhere; returns where."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at
