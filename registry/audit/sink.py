"""Where records are kept: on stdout, or in a file that several processes write and turn over."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from registry.audit.record import Audit, Record, silent

STDOUT = "-"
OFF = "off"

_MODE = 0o640

_log = logging.getLogger("sidecargo.audit")

Write = Callable[[bytes], None]


def opened(place: str, size: int = 0, keep: int = 1) -> Audit:
    """What takes records to a `place`: `-` is stdout, `off` nowhere, all else a file.

    A file is turned over before it has more than `size` bytes (0: any), and `keep` of those before stay.
    Raises OSError where the file cannot be written.
    """
    if place == OFF:
        return silent
    if place == STDOUT:
        return Sink(_say)
    file = SharedFile(Path(place).absolute(), size, keep)
    file.write(b"")
    return Sink(file.write)


class Sink:
    """Writes a line for each record. One that cannot be written is an error in the log, and stops nobody."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, record: Record) -> None:
        """Take a record."""
        line = record.line(datetime.now(UTC))
        try:
            self._write(line.encode() + b"\n")
        except OSError as error:
            _log.error("a record was not written: %s: %s", error, line)


def _say(line: bytes) -> None:
    sys.stdout.write(line.decode())
    sys.stdout.flush()


class SharedFile:
    """A file that any number of processes write, each alone while it does; `path` is absolute.

    It is opened for each line: so all go on in the file that has the name now, whoever has turned it over.
    """

    def __init__(self, path: Path, size: int, keep: int) -> None:
        self._path = path
        self._size = size
        self._keep = keep

    def write(self, line: bytes) -> None:
        """Write a line, or nothing of it; raises OSError."""
        with self._alone():
            if self._size and 0 < self._held() > self._size - len(line):
                self._turn_over()
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
            try:
                before = os.fstat(handle).st_size
                if os.write(handle, line) < len(line):
                    os.ftruncate(handle, before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _turn_over(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._keep + 1))]
        for newer, older in reversed([*itertools.pairwise(names)]):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
