"""What is wrong with a value, and what is allowed instead: the validation's findings in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import ErrorDetails

from registry.settings import keys

_LONGEST = 60
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def said(details: ErrorDetails) -> str:
    """The message for one finding of the validation."""
    say = _MESSAGES.get(details["type"])
    return say(details) if say else details["msg"]


def masked(text: str) -> str:
    """Text without the credentials that a URL in it may hold."""
    return _CREDENTIALS.sub("***", text)


def _unknown(details: ErrorDetails) -> str:
    model = keys.section(details["loc"][:-1])
    return f"unknown key; allowed: {', '.join(model.model_fields) if model else 'none'}"


def _not_a_section(details: ErrorDetails) -> str:
    model = keys.section(details["loc"])
    return f"{_input(details)} is not a mapping of {', '.join(model.model_fields) if model else 'keys'}"


def _literal(details: ErrorDetails) -> str:
    expected = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
    return f"{_input(details)} is not allowed; allowed: {expected}"


def _own(details: ErrorDetails) -> str:
    # Our validators either quote the value themselves or go on from it ("is not a URL; …").
    message = masked(str(details["ctx"]["error"]))
    return f"{_input(details)} {message}" if message.startswith(("is ", "has ")) else message


def _plain(text: str) -> Callable[[ErrorDetails], str]:
    return lambda details: text.format(value=_input(details), **details.get("ctx", {}))


def _input(details: ErrorDetails) -> str:
    value: Any = details["input"]
    shown = (
        masked(repr(value))
        if isinstance(value, str | int | float)
        else f"a {_KINDS.get(type(value), 'value')}"
    )
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


_KINDS = {list: "list", dict: "mapping", type(None): "missing value"}

_whole_number = _plain("{value} is not a whole number")
_list = _plain("{value} is not a list; write it as [a, b], in the environment as JSON")
_mapping = _plain("{value} is not a mapping; write it as {{claim: value}}")
_truth = _plain("{value} is not allowed; allowed: true, false")

_MESSAGES: dict[str, Callable[[ErrorDetails], str]] = {
    "extra_forbidden": _unknown,
    "missing": _plain("is missing"),
    "model_type": _not_a_section,
    "literal_error": _literal,
    "value_error": _own,
    "int_parsing": _whole_number,
    "int_parsing_size": _whole_number,
    "int_type": _whole_number,
    "int_from_float": _whole_number,
    "finite_number": _whole_number,
    "greater_than_equal": _plain("{value} is too small; it is {ge} at least"),
    "less_than_equal": _plain("{value} is too large; it is {le} at most"),
    "bool_parsing": _truth,
    "bool_type": _truth,
    "string_type": _plain("{value} is not text"),
    "mapping_type": _mapping,
    "dict_type": _mapping,
    "path_type": _plain("{value} is not a path"),
    "tuple_type": _list,
    "too_short": _plain("is empty; write one entry at least"),
}
