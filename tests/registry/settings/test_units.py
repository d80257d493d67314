from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import TypeAdapter

from registry.settings.units import Size, duration, spoken_duration, spoken_size

SIZES = TypeAdapter(Size)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("1B", 1),
        ("256MB", 256_000_000),
        ("256 mb", 256_000_000),
        ("4MiB", 4 << 20),
        ("2GiB", 2 << 30),
        ("1.5KiB", 1536),
        ("1k", 1000),
    ],
)
def test_sizes(text: object, expected: int) -> None:
    assert SIZES.validate_python(text) == expected


@pytest.mark.parametrize(
    "text", ["", "lots", "10 MB of it", "-1", -1, "4Mbit", "0x10", True, 1.5, [], "1e3", "4 Mi B"]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        SIZES.validate_python(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", 5, 5.0, True, None, "-5s", "5 m", "5w", "s", "0s", "0h0m", "9999999999d", "m5"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@given(some.integers(min_value=0, max_value=1 << 53))
def test_a_spoken_size_is_read_back(size: int) -> None:
    assert SIZES.validate_python(spoken_size(size)) == size


@given(some.integers(min_value=1, max_value=10**12))
def test_a_spoken_duration_is_read_back(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert duration(spoken_duration(span)) == span


def test_the_shortest_exact_size_is_spoken() -> None:
    assert [spoken_size(size) for size in (0, 1, 1000, 1024, 256_000_000, 2 << 30)] == [
        "0B",
        "1B",
        "1KB",
        "1KiB",
        "256MB",
        "2GiB",
    ]
