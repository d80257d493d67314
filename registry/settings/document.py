"""A settings file as data and places: YAML in which every value knows its line and no key comes twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from registry.settings.errors import SettingsInvalid, SettingsUnreadable, Wrong

Place = tuple[str | int, ...]
MAX_BYTES = 1 << 20
MAX_NODES = 20_000
_MAX_DEPTH = 30


class _Loader(yaml.SafeLoader):
    """YAML whose `on`, `off`, `yes`, `no` and dates stay the words that they are."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and the form are the base class's
        first: [
            (tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] not in ("bool", "timestamp")
        ]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")
)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says (`data`), under which name it is shown, and on which line each place begins."""

    name: str
    data: Mapping[str, Any]
    lines: Mapping[Place, int]

    def where(self, place: Place) -> str:
        """`FILE:LINE` of a place, or of the nearest place around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines.get(place, 1)}"


def read(path: Path) -> Document:
    """Read a settings file; raises SettingsUnreadable, or SettingsInvalid when it is not YAML."""
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsUnreadable(f"{path}: {error.strerror or error}") from None
    if len(found) > MAX_BYTES:
        raise SettingsUnreadable(f"{path}: is larger than {MAX_BYTES} bytes; no settings file is")
    try:
        return parse(found.decode(), str(path))
    except UnicodeDecodeError:
        raise SettingsUnreadable(f"{path}: is not UTF-8 text") from None


def parse(text: str, name: str) -> Document:
    """Read YAML text; raises SettingsInvalid for bad syntax, a key twice, or anything but a mapping."""
    reader = None
    try:
        reader = _Loader(text)
        root = reader.get_single_node()
        walk = _Walk(reader, name)
        data = {} if root is None or _is_null(root) else walk.value(root, ())
    except RecursionError:
        raise SettingsInvalid([Wrong(name, "", "is nested too deeply")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise SettingsInvalid([Wrong(where, "", f"is not YAML: {said}")]) from None
    except yaml.YAMLError as error:
        raise SettingsInvalid([Wrong(name, "", f"is not YAML: {' '.join(str(error).split())}")]) from None
    finally:
        if reader:
            reader.dispose()
    if not isinstance(data, dict):
        walk.wrong.append(
            Wrong(f"{name}:1", "", "is not a mapping of keys; write as in server: {port: 5000}")
        )
    if walk.wrong:
        raise SettingsInvalid(walk.wrong)
    return Document(name, data, walk.lines)


class _Walk:
    """From nodes to plain data; collects lines and what is wrong on the way."""

    def __init__(self, reader: _Loader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._left = MAX_NODES
        self.lines: dict[Place, int] = {}
        self.wrong: list[Wrong] = []

    def value(self, node: yaml.Node, place: Place) -> Any:
        """The data of one node; `place` is where it stands."""
        self._left -= 1
        # An alias may name a node around itself, or multiply its nodes without end.
        if self._left < 0 or len(place) > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem="it is too large or nested too deeply", problem_mark=node.start_mark
            )
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, (*place, at)) for at, entry in enumerate(node.value)]
        return self._reader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not a word", problem_mark=key_node.start_mark)
            key: str = key_node.value
            inner = (*place, key)
            if key in found:
                self.wrong.append(
                    Wrong(
                        f"{self._name}:{line}",
                        dotted(inner),
                        f"is here twice; first on line {self.lines[inner]}",
                    )
                )
                continue
            self.lines[inner] = line
            found[key] = self.value(value_node, inner)
        return found


def dotted(place: Place) -> str:
    """A place as it is shown: `admission.rules[0].mode`."""
    shown = ""
    for part in place:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
