from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.consumers.gunzip import MAX_MEMBERS, Gunzip
from tests.registry.consumers.build import corrupted

TEXT = bytes(range(256)) * 40


def _all(content: bytes, step: int = 0, limit: int = 1 << 20) -> tuple[bytes, str]:
    parts = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    stream = Gunzip(parts, limit)
    return stream.read(1 << 30), stream.fault


@pytest.mark.parametrize("step", [0, 1, 1000])
@pytest.mark.parametrize("text", [b"", b"x", TEXT, bytes(3 << 20)], ids=["nothing", "x", "text", "zeros"])
def test_whole_streams(text: bytes, step: int) -> None:
    assert _all(gzip.compress(text), step, 4 << 20) == (text, "")


@pytest.mark.parametrize("step", [0, 1])
def test_members_follow_one_another(step: int) -> None:
    content = gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"bc")
    assert _all(content, step) == (b"abc", "")


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5000), max_size=8))
def test_reading_in_any_steps(steps: list[int]) -> None:
    stream = Gunzip([gzip.compress(TEXT)], 1 << 20)
    at = 0
    for number, step in enumerate(steps):
        expected = TEXT[at : at + step]
        found = (stream.read, lambda size: b"".join(stream.copy(size)))[number % 2](step)
        assert found == expected
        at += len(expected)
        assert stream.skip(3) == len(TEXT[at : at + 3])
        at += len(TEXT[at : at + 3])
    assert stream.read(1 << 20) == TEXT[at:]


TRAILER = 8
GOOD = gzip.compress(TEXT)
FAULTS = [
    pytest.param(b"", b"", "empty", id="empty"),
    pytest.param(b"no gzip", b"", "incorrect header check", id="no gzip"),
    pytest.param(GOOD[:-1], TEXT, "unexpected EOF", id="trailer cut"),
    pytest.param(corrupted(GOOD, len(GOOD) - 6), TEXT, "incorrect data check", id="wrong checksum"),
    pytest.param(corrupted(GOOD, len(GOOD) - 1), TEXT, "incorrect length check", id="wrong length"),
    pytest.param(GOOD + b"noise!", TEXT, "incorrect header check", id="noise after it"),
    pytest.param(GOOD + GOOD[:5], TEXT, "unexpected EOF", id="second member cut"),
]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("content", "sound", "says"), FAULTS)
def test_what_is_sound_comes_before_the_fault(content: bytes, sound: bytes, says: str, step: int) -> None:
    found, fault = _all(content, step)
    assert found == sound
    assert says in fault


def test_a_fault_in_the_middle_loses_nothing_before_it() -> None:
    raw = zlib.compressobj(9, zlib.DEFLATED, 31)
    sound = raw.compress(TEXT) + raw.flush(zlib.Z_FULL_FLUSH)
    found, fault = _all(sound + b"\xff" * 100)
    assert found == TEXT
    assert "invalid block type" in fault


# Compressed text with another byte in it: Go's compress/gzip gives 516 bytes of it, then an error.
BROKEN = bytes.fromhex(
    "1f8b08000000000004032bc8294dcfccd32b4f2cced567a01130000233131306100d04e83450082e67606008943734303230635030"
    "a0917b508c2d2d2e492c023a094570e4704a522b4a46e66f477d8a1e020588fc8f2e45353e28d3e3cfffe6b03201a41494ff0dcc0d"
    "e999ff1514a8e6d9a16610b0e0931c6a6e1e75ef6808b7860055420000cfe0b719000a0000"
)


@pytest.mark.parametrize("step", [0, 1, 7])
def test_the_last_byte_before_a_fault_is_given_too(step: int) -> None:
    found, fault = _all(BROKEN, step)
    assert len(found) == 516
    assert "invalid distance code" in fault


def test_the_limit() -> None:
    stream = Gunzip([GOOD], 100)
    assert stream.read(200) == TEXT[:100]
    assert "over the limit" in stream.fault


def test_input_without_output_is_limited_too() -> None:
    empty = b"\0\0\0\xff\xff" * 200_000
    stream = Gunzip([GOOD[:10], *[empty] * 40], 1000)
    assert stream.read(1) == b""
    assert "over the limit" in stream.fault


def test_the_number_of_members_is_limited() -> None:
    member = gzip.compress(b"")
    _, fault = _all(member * (MAX_MEMBERS + 1))
    assert "members" in fault
    assert _all(member * MAX_MEMBERS) == (b"", "")


def test_the_heads() -> None:
    stream = Gunzip([GOOD], 1000)
    stream.read(1)
    assert stream.head == GOOD[:300]
    assert stream.inside == TEXT[:300]


def test_a_cut_stream_gives_all_that_can_be_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.consumers.gunzip._PIECE", 64)
    content = gzip.compress(TEXT + bytes(5000))
    for cut in range(12, len(content)):
        expected = zlib.decompressobj(31).decompress(content[:cut])
        assert _all(content[:cut])[0] == expected
