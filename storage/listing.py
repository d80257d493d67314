"""Listings of folders, in order and remembered: a page out of 100,000 names costs a stat and a bisection.

A folder's state (inode, times, size) says whether the names that were read are still its names. The times
move with the file system's clock, which ticks: a change in the tick of the one before it does not show. So
a listing is trusted only where the folder had been at rest for longer than any tick when it was read, as
git does with files that changed while it looked ("racily clean"). The change time is part of the state:
it cannot be set back, which tools that restore a backup do with the other one.

Nothing is told to anybody: every process over the folder sees the changes of every other at once.
"""

from __future__ import annotations

import heapq
import os
import sys
import threading
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from storage import folders
from storage.driver import Page
from storage.files import MISSING

BYTES = 32 << 20
"""What all remembered listings take at most, in bytes; 100,000 names of ten letters take 1.5 MB."""

WORTH = 500
"""Folders with fewer names are read each time: that takes no longer than to be sure."""

REST = 2_000_000_000
"""Nanoseconds that a folder must have been at rest: the coarsest clock of a file system ticks so (FAT)."""

# No file name has it, so names lie in one string.
_BETWEEN = "/"
_LOCKS = 16

State = tuple[int, ...]


class Names:
    """Names in order, in little memory."""

    __slots__ = ("_ends", "_text", "bytes")

    def __init__(self, names: Iterable[str]) -> None:
        ordered = sorted(names)
        self._text = _BETWEEN.join(ordered)
        # Where the text goes on after each name and what is between.
        self._ends = array("Q", accumulate(len(name) + 1 for name in ordered))
        self.bytes = sys.getsizeof(self._text) + sys.getsizeof(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    def page(self, after: str, limit: int | None) -> Page:
        """The names that sort after `after`, at most `limit`."""
        first = bisect_right(range(len(self)), after, key=self._name) if after else 0
        last = len(self) if limit is None else min(first + limit, len(self))
        if first == last:
            return Page((), more=first < len(self))
        text = self._text[self._begin(first) : self._ends[last - 1] - 1]
        return Page(tuple(text.split(_BETWEEN)), more=last < len(self))

    def _begin(self, at: int) -> int:
        return self._ends[at - 1] if at else 0

    def _name(self, at: int) -> str:
        return self._text[self._begin(at) : self._ends[at] - 1]


@dataclass(frozen=True, slots=True)
class _Read:
    """What a folder held: `names` were read in `state`, not before `begun` (nanoseconds, monotonic).

    `is_sure`: the folder holds these names for as long as it is in that state.
    """

    names: Names
    state: State
    begun: int
    is_sure: bool


class Listings:
    """The listings that are remembered, `most` bytes of them; for any number of threads."""

    def __init__(self, most: int = BYTES) -> None:
        self._most = most
        self._taken = 0
        self._kept: OrderedDict[str, _Read] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = [threading.Lock() for _ in range(_LOCKS)]

    def page(self, folder: str, after: str, limit: int | None) -> Page:
        """The names in a folder that sort after `after`, at most `limit`, as they are now; raises OSError."""
        asked = time.monotonic_ns()
        try:
            found = self._now(folder, asked) or self._read_once(folder, asked)
        except MISSING:
            self._forget(folder)
            return Page((), more=False)
        return _small_page(found, after, limit) if isinstance(found, list) else found.page(after, limit)

    def _now(self, folder: str, asked: int) -> Names | None:
        """What is remembered, where it is true: nothing changed, or it was read after it was asked for."""
        with self._lock:
            read = self._kept.get(folder)
            if read is None:
                return None
            self._kept.move_to_end(folder)
        if read.begun >= asked or (read.is_sure and read.state == _state(folder)[0]):
            return read.names
        return None

    def _read_once(self, folder: str, asked: int) -> Names | list[str]:
        # Whoever comes while another reads the folder waits, and then knows what that one read.
        with self._reading[hash(folder) % _LOCKS]:
            return self._now(folder, asked) or self._read(folder)

    def _read(self, folder: str) -> Names | list[str]:
        begun = time.monotonic_ns()
        # First the state, then the names: what changes between them makes it another state.
        state, changed = _state(folder)
        is_sure = changed + REST < time.time_ns()
        found = folders.names(folder)
        if len(found) < WORTH:
            self._forget(folder)
            return found
        read = _Read(Names(found), state, begun, is_sure)
        self._keep(folder, read)
        return read.names

    def _keep(self, folder: str, read: _Read) -> None:
        with self._lock:
            self._drop(folder)
            self._kept[folder] = read
            self._taken += read.names.bytes
            while self._taken > self._most:
                self._drop(next(iter(self._kept)))

    def _forget(self, folder: str) -> None:
        with self._lock:
            self._drop(folder)

    def _drop(self, folder: str) -> None:
        gone = self._kept.pop(folder, None)
        if gone:
            self._taken -= gone.names.bytes


def _state(folder: str) -> tuple[State, int]:
    """What changes with the names in a folder, and when it last did (nanoseconds, by the file system)."""
    found = os.stat(folder)  # noqa: PTH116  a Path costs more than the call
    state = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    return state, max(found.st_mtime_ns, found.st_ctime_ns)


def _small_page(names: list[str], after: str, limit: int | None) -> Page:
    following = [name for name in names if name > after]
    if limit is None:
        return Page(tuple(sorted(following)), more=False)
    return Page(tuple(heapq.nsmallest(limit, following)), more=len(following) > limit)
