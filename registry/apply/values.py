"""JSON values that users give: what of them can be written and read again by every consumer."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_TEXT = 1 << 20
"""Characters of a configuration; etcd takes no larger resource."""

_MAX_DEPTH = 64
_SAFE_INTEGER = 2**63


class NotAValue(Exception):
    """A text that is no JSON, or that a consumer could not read; says why."""


def parse(text: str) -> Any:
    """Read JSON; raises NotAValue."""
    if len(text) > MAX_TEXT:
        raise NotAValue(f"is larger than {MAX_TEXT} characters.")
    try:
        found = json.loads(text, object_pairs_hook=_no_field_twice)
    except RecursionError:
        raise NotAValue("is nested too deeply.") from None
    except ValueError as error:
        raise NotAValue(f"is not JSON: {error}.") from None
    _check(found, _MAX_DEPTH)
    return found


def compact(value: Any) -> str:
    """A value as JSON in one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotAValue("has a field twice.")
    return found


def _check(value: Any, depth: int) -> None:
    """Refuse what JSON in Python may hold and YAML in Go or UTF-8 may not."""
    if depth == 0:
        raise NotAValue(f"is nested deeper than {_MAX_DEPTH}.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(key, depth)
            _check(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth - 1)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotAValue("has half a character in a string.") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise NotAValue("has a number that is none.")
    elif isinstance(value, int) and not -_SAFE_INTEGER <= value < _SAFE_INTEGER:
        raise NotAValue("has a whole number of more than 64 bits.")
