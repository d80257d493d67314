"""Lock files: who replaces or removes an object holds its own, in whatever process."""

from __future__ import annotations

import contextlib
import fcntl
import zlib
from collections.abc import Iterator
from pathlib import Path

_COUNT = 256


class Locks:
    """Locks by key, as files in a folder; several keys may share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def held(self, *keys: str) -> Iterator[None]:
        """Hold the locks of these keys meanwhile; for a thread."""
        # In one order, so that two who want the same locks do not wait for one another.
        names = sorted({zlib.crc32(key.encode()) % _COUNT for key in keys})
        with contextlib.ExitStack() as held:
            for name in names:
                file = held.enter_context((self._folder / f"{name:02x}").open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
