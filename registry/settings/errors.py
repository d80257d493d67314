"""Wrong settings: each with where it stands, which key it is and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong setting.

    `where` is `FILE:LINE`, the name of an environment variable or of a flag; `key` is dotted, and
    empty where the place is not about one key.
    """

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class SettingsInvalid(Exception):
    """The settings cannot be used; `wrong` holds all reasons at once, in the order of their places."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("\n".join(map(str, wrong)))
        self.wrong = tuple(wrong)


class SettingsUnreadable(Exception):
    """The settings file cannot be read at all."""
