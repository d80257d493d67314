"""The users' file as it is now: read again when it has changed, by whoever asks next."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from registry.access import htpasswd
from registry.access.identities import Identities
from registry.access.robots import Robot

_log = logging.getLogger("sidecargo.access")

LARGEST = 4 << 20
"""Bytes of a file that is read."""

_Stat = tuple[int, int, int, int]


class UserFile:
    """Everybody who is known: those of the file, if there is one, and the robots that are given.

    Raises OSError where the file cannot be read at first. When it cannot be read later, those who were in it
    stay: to shut somebody out, take the line away. `robots` are those that were given.
    """

    def __init__(self, path: Path | None, robots: Sequence[Robot] = ()) -> None:
        self._path = path
        self.robots = tuple(robots)
        self._seen: _Stat | None = None
        self._known = Identities(htpasswd.parse(""), self.robots)
        if path is not None:
            self._read(path, _stat(path))

    def now(self) -> Identities:
        """Everybody, as the file is at this moment."""
        path = self._path
        if path is None:
            return self._known
        try:
            seen = _stat(path)
            if seen != self._seen:
                self._read(path, seen)
        except OSError as error:
            if self._seen is not None:
                _log.error("%s cannot be read, who was in it stays: %s", path, error.strerror or error)
            self._seen = None
        return self._known

    def _read(self, path: Path, seen: _Stat) -> None:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise OSError(f"it is larger than {LARGEST} bytes")
        users = htpasswd.parse(data.decode("utf-8", "replace"))
        for problem in users.problems:
            _log.error("%s, %s", path, problem)
        # Seen before it was read: what changes meanwhile is read again.
        self._seen, self._known = seen, Identities(users, self.robots)


def _stat(path: Path) -> _Stat:
    found = os.stat(path)  # noqa: PTH116 - asked at every login
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
