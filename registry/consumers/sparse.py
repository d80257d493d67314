"""Sparse files in a tar archive, in GNU's three ways to write their map: as Go's archive/tar reads them.

A map is the list of (offset, length) of the parts that are in the archive; all between is zeros.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from registry.consumers.numbers import BadNumber, decimal, numeric

Map = list[tuple[int, int]]
BLOCK = 512
_MAX_MAP = 1 << 20
_LARGEST = 2**63 - 1
_PAIR = 24
_TOKEN = re.compile(rb"[^\n]*\n")


def old_gnu(block: bytes, read_block: Callable[[], bytes]) -> tuple[int, Map]:
    """Size and map from the header of type S and the blocks after it; raises BadNumber."""
    size = numeric(block[483:495])
    found: Map = []
    area, total = block[386:483], 97
    while total < _MAX_MAP:
        slots = len(area) // _PAIR
        for at in range(0, slots * _PAIR, _PAIR):
            if area[at] == 0:
                break
            found.append((numeric(area[at : at + 12]), numeric(area[at + 12 : at + _PAIR])))
        if not area[slots * _PAIR]:
            return size, found
        area = read_block()
        total += BLOCK
    raise BadNumber


def from_records(records: Mapping[bytes, bytes]) -> Map:
    """The map of version 0.1, which is in the PAX records; raises BadNumber."""
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(b"GNU.sparse.map", b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise BadNumber
    return _pairs(numbers)


def from_content(read_block: Callable[[], bytes]) -> Map:
    """The map of version 1.0, which is at the head of the content; raises BadNumber."""
    text = bytearray()

    def lines(wanted: int) -> None:
        have = text.count(b"\n")
        while have < wanted:
            if len(text) >= _MAX_MAP:
                raise BadNumber
            block = read_block()
            have += block.count(b"\n")
            text.extend(block)

    lines(1)
    count = decimal(text[: text.index(b"\n")])
    if not 0 <= count <= _MAX_MAP:
        raise BadNumber
    lines(1 + 2 * count)
    tokens = _TOKEN.finditer(text)
    next(tokens)
    return _pairs([next(tokens)[0][:-1] for _ in range(2 * count)])


def checked(found: Map, size: int) -> Map:
    """The map itself when its parts are in order and inside the file; raises BadNumber."""
    if size < 0:
        raise BadNumber
    end = 0
    for offset, length in found:
        if offset < end or length < 0 or offset + length > min(size, _LARGEST):
            raise BadNumber
        end = offset + length
    return found


def expanded(found: Map, size: int, take: Callable[[int], Iterator[bytes]]) -> Iterator[bytes]:
    """The whole file in pieces: parts from `take`, zeros between; ends early where `take` does."""
    at = 0
    for offset, length in [*found, (size, 0)]:
        yield from _zeros(offset - at)
        at = offset
        for piece in take(length):
            yield piece
            at += len(piece)
        if at != offset + length:
            return


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        step = min(count, 64 << 10)
        yield bytes(step)
        count -= step


def _pairs(numbers: list[bytes]) -> Map:
    values = [decimal(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))
