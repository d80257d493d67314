"""From the sources to the settings: flags beat the environment, it beats the file, the file the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from registry.settings import document, environment, keys, messages
from registry.settings.document import Document, Place, dotted
from registry.settings.errors import SettingsInvalid, Wrong
from registry.settings.model import Settings

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting from the command line: the flag's `name` (`--port`), the place that it sets, its value."""

    name: str
    place: Place
    value: Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings in force, and where each key's value comes from (dotted key → place, variable or flag)."""

    settings: Settings
    origins: Mapping[str, str]


def load(path: Path | None = None, *, flags: Sequence[Flag] = (), use_environment: bool = True) -> Loaded:
    """Bring the sources together and check the whole.

    Raises SettingsUnreadable for a file that cannot be read, SettingsInvalid with everything that
    is wrong.
    """
    sources = _Sources(
        file=document.read(path) if path else Document("", {}, {}),
        environment=environment.values() if use_environment else {},
        flags=flags,
    )
    wrong = list(environment.unknown()) if use_environment else []
    try:
        settings = Settings(**sources.data())
    except ValidationError as error:
        wrong += (sources.wrong(details) for details in error.errors(include_url=False))
    if wrong:
        raise SettingsInvalid(wrong)
    return Loaded(settings, {dotted(place): sources.where(place) for place, _ in keys.leaves()})


@dataclass(frozen=True, slots=True)
class _Sources:
    file: Document
    environment: Mapping[str, Any]
    flags: Sequence[Flag]

    def data(self) -> dict[str, Any]:
        data = _merged(self.file.data, self.environment)
        for flag in self.flags:
            data = _merged(data, _nested(flag.place, flag.value))
        return data

    def where(self, place: Place) -> str:
        """Which source the value at a place comes from."""
        for flag in self.flags:
            if _reaches(flag.place, place):
                return flag.name
        if _holds(self.environment, place):
            return environment.name_of(place)
        if _holds(self.file.data, place):
            return self.file.where(place)
        return DEFAULT

    def wrong(self, details: ErrorDetails) -> Wrong:
        """What the validation found, said in the terms of the source."""
        place: Place = details["loc"]
        where = self._nearest(place)
        return Wrong(where, dotted(place), messages.said(details))

    def _nearest(self, place: Place) -> str:
        # A key that is missing has no place of its own: the section that lacks it has.
        for end in range(len(place), 0, -1):
            if (where := self.where(place[:end])) != DEFAULT:
                return where
        return self.file.name or DEFAULT


def _reaches(flag: Place, place: Place) -> bool:
    return place[: len(flag)] == flag


def _holds(data: Any, place: Place) -> bool:
    for part in place:
        in_mapping = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_mapping and not in_list:
            return False
        data = data[part]
    return True


def _nested(place: Place, value: Any) -> dict[Any, Any]:
    head, *rest = place
    return {head: _nested(tuple(rest), value) if rest else value}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings as one; `above` wins, lists are replaced whole."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        result[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result
