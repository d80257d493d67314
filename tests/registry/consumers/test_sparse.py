from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from registry.consumers.numbers import BadNumber
from registry.consumers.sparse import Map, checked, expanded, from_content, from_records, old_gnu

BLOCK = 512


def _blocks(data: bytes) -> Callable[[], bytes]:
    parts = iter([data[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(data), BLOCK)])
    return lambda: next(parts)


def _pair(offset: int, length: int) -> bytes:
    return b"%011o\0%011o\0" % (offset, length)


def test_old_gnu_with_a_block_after_the_header() -> None:
    header = bytearray(BLOCK)
    header[386 : 386 + 4 * 24] = b"".join(_pair(at * 100, 10) for at in range(4))
    header[482] = 1
    header[483:495] = b"%011o\0" % 1000
    more = _pair(400, 20) + bytes(24)
    size, found = old_gnu(bytes(header), _blocks(more))
    assert size == 1000
    assert found == [(0, 10), (100, 10), (200, 10), (300, 10), (400, 20)]


def test_old_gnu_without_end() -> None:
    header = bytearray(BLOCK)
    header[482] = 1
    endless = b"\0" * 504 + b"\1" + bytes(7)
    with pytest.raises(BadNumber):
        old_gnu(bytes(header), lambda: endless)


@pytest.mark.parametrize(
    ("count", "text", "expected"),
    [(b"2", b"0,5,10,5", [(0, 5), (10, 5)]), (b"0", b"", []), (b"1", b"3,4", [(3, 4)])],
)
def test_from_records(count: bytes, text: bytes, expected: Map) -> None:
    assert from_records({b"GNU.sparse.numblocks": count, b"GNU.sparse.map": text}) == expected


@pytest.mark.parametrize(("count", "text"), [(b"2", b"0,5"), (b"-1", b""), (b"x", b""), (b"1", b"0,x")])
def test_from_records_refuses(count: bytes, text: bytes) -> None:
    with pytest.raises(BadNumber):
        from_records({b"GNU.sparse.numblocks": count, b"GNU.sparse.map": text})


def test_from_content_over_many_blocks() -> None:
    pairs = [(at * 1000, 10) for at in range(300)]
    text = b"300\n" + b"".join(b"%d\n%d\n" % pair for pair in pairs)
    assert from_content(_blocks(text)) == pairs


@pytest.mark.parametrize("text", [b"x\n", b"-1\n", b"1\n0\nx\n", b"99999999999\n"])
def test_from_content_refuses(text: bytes) -> None:
    with pytest.raises(BadNumber):
        from_content(_blocks(text))


def test_from_content_without_end() -> None:
    with pytest.raises(BadNumber):
        from_content(lambda: b"1" * BLOCK)


@pytest.mark.parametrize(
    ("found", "size"),
    [
        ([], -1),
        ([(0, 11)], 10),
        ([(-1, 2)], 10),
        ([(0, -1)], 10),
        ([(0, 5), (4, 1)], 10),
        ([(2**63 - 1, 2**63 - 1)], 2**63 - 1),
    ],
)
def test_checked_refuses(found: Map, size: int) -> None:
    with pytest.raises(BadNumber):
        checked(found, size)


@pytest.mark.parametrize(
    ("found", "size", "data", "expected"),
    [
        pytest.param([(2, 3)], 7, b"abc", b"\0\0abc\0\0", id="a hole at each end"),
        pytest.param([(0, 1), (3, 1)], 4, b"ab", b"a\0\0b", id="a hole in the middle"),
        pytest.param([], 3, b"", b"\0\0\0", id="only a hole"),
        pytest.param([(0, 2), (2, 0), (2, 1)], 3, b"abc", b"abc", id="an empty part"),
        pytest.param([(0, 4), (9, 1)], 10, b"ab", b"ab", id="cut"),
    ],
)
def test_expanded(found: Map, size: int, data: bytes, expected: bytes) -> None:
    left = data

    def take(count: int) -> Iterator[bytes]:
        nonlocal left
        piece, left = left[:count], left[count:]
        yield from (piece[at : at + 1] for at in range(len(piece)))

    assert b"".join(expanded(checked(found, size), size, take)) == expected
