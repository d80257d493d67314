"""Digests that something names: more than memory has room for, on a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from types import TracebackType


class Linked:
    """A set of digests, by their hexadecimal; a context, at whose end its file is gone."""

    def __init__(self) -> None:
        # An empty name is a file that SQLite makes, hides and removes itself.
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("CREATE TABLE named (hex BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Linked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def add(self, named: Iterable[str]) -> None:
        """Put digests into it."""
        rows = [(bytes.fromhex(one),) for one in named]
        self._base.executemany("INSERT OR IGNORE INTO named VALUES (?)", rows)

    def __contains__(self, hexadecimal: str) -> bool:
        found = self._base.execute("SELECT 1 FROM named WHERE hex = ?", (bytes.fromhex(hexadecimal),))
        return found.fetchone() is not None
