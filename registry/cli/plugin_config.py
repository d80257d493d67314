"""A plugin's configuration out of a file: YAML or JSON, read as Kubernetes reads it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from registry.console.failure import Failure
from registry.console.terminal import printable

STDIN = "-"
MAX_BYTES = 1 << 20

_DATE = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Reads dates as the strings that they are in JSON, and names as JSON has them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own table
        first: [(tag, pattern) for tag, pattern in rows if tag != _DATE]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of strings: to Python, the names `1` and `true` would be the same."""
        self.flatten_mapping(node)
        found = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                key = json.dumps(key)
            if key in found or not isinstance(key_node, yaml.ScalarNode):
                problem = f"the name {key} is there twice" if key in found else "a name is no text"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=deep)
        return found


def read(path: str, *, or_text: bool = False) -> str:
    """The file as JSON; with `or_text`, what is no mapping or list is the text itself, as a JSON string.

    `-` is standard input. Raises Failure for what cannot be read.
    """
    if path == STDIN and sys.stdin is None:
        raise Failure("standard input is closed.", "Give a file, or pipe one in.")
    try:
        with sys.stdin.buffer if path == STDIN else Path(path).open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        text = body.decode()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is not UTF-8.") from None
    if len(body) > MAX_BYTES:
        raise Failure(f"{path} is larger than {MAX_BYTES} bytes.")
    if (found := _read(path, text, or_text)) is None:
        return json.dumps(text)
    return found


def _read(path: str, text: str, or_text: bool) -> str | None:
    """The text as JSON, None where it is to stay text."""
    # First as JSON, which is no part of YAML where characters are escaped as two halves.
    try:
        found: Any = json.loads(text)
        said = text
    except (ValueError, RecursionError):
        try:
            found = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            if or_text:
                return None
            where = getattr(error, "problem_mark", None)
            line = f", line {where.line + 1}" if where else ""
            raise Failure(f"{path}{line}: neither YAML nor JSON{_why(error)}.") from None
        said = ""
    if or_text and not isinstance(found, dict | list):
        return None
    return said or _as_json(path, found)


def _why(error: Exception) -> str:
    problem = getattr(error, "problem", None)
    return f": {printable(problem, 200)}" if problem else ""


def _as_json(path: str, found: Any) -> str:
    # Piece by piece: a few aliases of aliases are gigabytes.
    pieces, size = [], 0
    try:
        for piece in json.JSONEncoder(allow_nan=False).iterencode(found):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BYTES:
                raise Failure(f"{path} is larger than {MAX_BYTES} bytes of JSON.")
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure(f"{path} holds what JSON cannot: {error}.") from None
    return "".join(pieces)
