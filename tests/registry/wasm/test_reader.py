from __future__ import annotations

import pytest

from registry.wasm.reader import MAX_NAME, Malformed, Reader
from tests.registry.wasm.binary import leb


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 0xFFFF, 2**32 - 1])
def test_unsigned_reads_what_was_written(number: int) -> None:
    reader = Reader(leb(number))
    assert reader.unsigned() == number
    assert reader.at_end()


def test_unsigned_of_64_bits() -> None:
    assert Reader(leb(2**64 - 1)).unsigned(64) == 2**64 - 1


@pytest.mark.parametrize(
    ("data", "bits", "says"),
    [
        pytest.param(b"", 32, "ends at byte", id="nothing"),
        pytest.param(b"\x80", 32, "ends at byte", id="cut"),
        pytest.param(b"\x80\x80\x80\x80\x80\x00", 32, "runs on", id="six bytes"),
        pytest.param(b"\xff\xff\xff\xff\x1f", 32, "over 32 bits", id="33 bits"),
        pytest.param(b"\xff" * 9 + b"\x02", 64, "over 64 bits", id="65 bits"),
        pytest.param(b"\x80" * 100_000, 32, "runs on", id="never ends"),
    ],
)
def test_unsigned_refuses(data: bytes, bits: int, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        Reader(data).unsigned(bits)


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"\x00", 0), (b"\x70", -16), (b"\x3f", 63), (b"\x40", -64), (b"\x80\x01", 128), (b"\xff\x00", 127)],
)
def test_signed(data: bytes, number: int) -> None:
    assert Reader(data).signed(33) == number


def test_signed_runs_on() -> None:
    with pytest.raises(Malformed, match="runs on"):
        Reader(b"\x80" * 10).signed(33)


def test_count_is_held_against_the_bytes_and_the_limit() -> None:
    with pytest.raises(Malformed, match="announces 4294967295 types in 3 bytes"):
        Reader(leb(2**32 - 1) + b"abc").count("types", 10**9)
    with pytest.raises(Malformed, match="5 is the limit"):
        Reader(leb(6) + bytes(6)).count("types", 5)
    assert Reader(leb(5) + bytes(5)).count("types", 5) == 5


def test_names() -> None:
    assert Reader(b"\x03abc").name() == "abc"
    assert Reader(b"\x02\xc3\xa9").name() == "é"
    assert Reader(leb(MAX_NAME) + b"a" * MAX_NAME).name(MAX_NAME) == "a" * MAX_NAME
    with pytest.raises(Malformed, match="not UTF-8"):
        Reader(b"\x01\xff").name()
    with pytest.raises(Malformed, match="over the end"):
        Reader(b"\x04abc").name()
    with pytest.raises(Malformed, match="is the limit"):
        Reader(leb(MAX_NAME + 1) + bytes(MAX_NAME + 1)).name()
