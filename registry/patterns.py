"""Patterns of names in the settings: `*` stays within a path segment, `**` is any number of segments."""

from __future__ import annotations

import re
from functools import lru_cache

_SEGMENT = re.compile(r"(?:\*\*|(?:[A-Za-z0-9._-]|\*(?!\*))+)")
_ANY_SEGMENTS = r"(?:/[^/]+)*"
MAX_LENGTH = 255


def validated(pattern: str) -> str:
    """The pattern itself when it is well-formed; raises ValueError with the fix otherwise."""
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    if not all(_SEGMENT.fullmatch(segment) for segment in pattern.split("/")):
        raise ValueError(
            f"{pattern!r} is not a pattern; write names with * inside a segment and ** as a whole segment, "
            "as in team-a/*, ci/** or **"
        )
    return pattern


def matches(pattern: str, name: str) -> bool:
    """Whether a well-formed pattern names `name`; `a/**` names `a` as well as all below it."""
    return _compiled(pattern).fullmatch(f"/{name}") is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(map(_translated, pattern.split("/"))))


def _translated(segment: str) -> str:
    return _ANY_SEGMENTS if segment == "**" else "/" + "[^/]*".join(map(re.escape, segment.split("*")))
