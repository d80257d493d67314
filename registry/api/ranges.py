"""One byte range of a request (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage.errors import RangeNotSatisfiable

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes `start` to `end` (exclusive) of content of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """The Content-Range of the answer."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def parse(header: str | None, size: int) -> ByteRange | None:
    """The range that is asked for; None where the whole content is the answer.

    That is so without a header, and, as the RFC allows, for other units, several ranges and what is
    malformed. Raises RangeNotSatisfiable for a range outside the content or one that ends before it
    begins.
    """
    match = _ONE.fullmatch((header or "").replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= size or start >= end:
        raise RangeNotSatisfiable(f"the content has {size} bytes; the range lies outside of them.", size=size)
    return ByteRange(start, end, size)
