"""Numbers as tar headers write them, read as strictly as Go's archive/tar does (strconv.go)."""

from __future__ import annotations

import re
from functools import lru_cache

_OCTAL = re.compile(rb"[0-7]+")
_DECIMAL = re.compile(rb"[+-]?[0-9]+")
_SECONDS = re.compile(rb"([+-]?[0-9]+)(?:\.[0-9]*)?")
_BITS = 63


class BadNumber(Exception):
    """A number that Go does not read, or a value that it does not allow."""


@lru_cache(1 << 10)  # the headers of an archive are much alike
def numeric(field: bytes) -> int:
    """A number field: octal, or base 256 when its first bit is set; raises BadNumber."""
    if field[0] & 0x80:
        return _base_256(field)
    text = field.strip(b" \0")
    if not text:
        return 0
    text = text.partition(b"\0")[0]
    if not _OCTAL.fullmatch(text):
        raise BadNumber
    return int(text, 8)


def decimal(text: bytes | bytearray) -> int:
    """A decimal number of 64 bits, with or without sign; raises BadNumber."""
    # Digits are counted first: Python refuses to convert thousands of them.
    if not _DECIMAL.fullmatch(text) or len(text.lstrip(b"+-0")) > 19:
        raise BadNumber
    value = int(text)
    if not -(1 << _BITS) <= value < 1 << _BITS:
        raise BadNumber
    return value


def check_time(text: bytes) -> None:
    """A time of PAX, seconds with or without a fraction; raises BadNumber."""
    found = _SECONDS.fullmatch(text)
    if not found:
        raise BadNumber
    decimal(found[1])


def _base_256(field: bytes) -> int:
    negative = bool(field[0] & 0x40)
    value = int.from_bytes(field)
    if negative:
        value ^= (1 << 8 * len(field)) - 1
    value &= (1 << 8 * len(field) - 1) - 1
    if value >> _BITS:
        raise BadNumber
    return ~value if negative else value
