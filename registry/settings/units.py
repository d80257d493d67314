"""Sizes and durations as people write them: `256MB`, `4MiB`, `30s`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize

_SIZE = re.compile(r"\d+(\.\d+)?\s*([kmgtpe]i?)?b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_SIZES = sorted(
    [(1024**power, f"{prefix}iB") for power, prefix in enumerate("KMGTPE", 1)]
    + [(1000**power, f"{prefix}B") for power, prefix in enumerate("KMGTPE", 1)],
    reverse=True,
)


def size(value: Any) -> Any:
    """What ByteSize shall read: a whole number of bytes, or text with a unit; raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a size; write it as 256MB or 4MiB")
    if isinstance(value, str) and not _SIZE.fullmatch(value.strip()):
        raise ValueError(f"{value!r} is not a size; write it as 256MB or 4MiB")
    if isinstance(value, int) and value < 0:
        raise ValueError("a size is not negative")
    return value


def duration(value: Any) -> timedelta:
    """Read `90d`, `15m`, `1h30m`, `500ms`; raises ValueError for anything else, a bare number too."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        raise ValueError(f"{value!r} is not a duration; write it with a unit, as in 30s, 15m, 24h or 90d")
    try:
        found = sum(
            (float(number) * _UNITS[unit] for number, unit in _PART.findall(value)), start=timedelta()
        )
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any duration that can be kept") from None
    if not found:
        raise ValueError("a duration of zero means nothing; leave the key out for its default")
    return found


Size = Annotated[ByteSize, BeforeValidator(size)]
Duration = Annotated[timedelta, BeforeValidator(duration)]


def spoken_size(value: int) -> str:
    """The shortest form that means exactly this many bytes."""
    for unit, name in _SIZES:
        if value and value % unit == 0:
            return f"{value // unit}{name}"
    return f"{value}B"


def spoken_duration(value: timedelta) -> str:
    """The form that means exactly this duration, in milliseconds at the finest."""
    parts: list[str] = []
    rest = value
    for name, unit in _UNITS.items():
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts)
