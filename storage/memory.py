"""What a store has answered, for a while: bounded in bytes, the least recently used goes first.

Reads and writes of one process meet here, so that a reader never finds less than what a write before it
has done: when a write ends, everything that was asked for before its end is put aside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Generic, TypeVar

from storage.driver import PEEKED, ObjectChanged, Page, Stat

LARGEST = 64 << 10
"""The largest object, or page of names, that is remembered whole, in bytes."""

_SLOT = 700  # a Seen, its place and its share of the tables; held by a test
_NAME = 64  # a short text beside its letters

T = TypeVar("T")


class Kind(Enum):
    """What is remembered of a key: an object, its first PEEKED bytes, its Stat, the names below it."""

    CONTENT = "content"
    BEGINNING = "beginning"
    STAT = "stat"
    NAMES = "names"

    __hash__ = object.__hash__  # by identity: Enum's own is slow, and the hot path asks


Place = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """An answer of the store: `value`, None where nothing was there; of that there is no memory.

    `asked` is when the question began, by the clock of who asked: the answer is no older. Of a `doubted`
    one it is not known whether a write of ours has changed it.
    """

    value: T | None
    asked: float
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class First:
    """The first page of a folder, as it was asked for."""

    limit: int | None
    page: Page


@dataclass(frozen=True, slots=True)
class Flight:
    """A question that is under way since `began`; its task gives a Seen.

    `number` tells which of them came first, and who came before or after it.
    """

    began: float
    number: int
    task: asyncio.Task[Seen[Any]]


@dataclass(slots=True)
class _Writers:
    count: int = 0
    crowded: bool = False


class Memory:
    """Answers by place within `budget_bytes`; `used` is what they take.

    `under_way` are the questions that others may wait for, too.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.used = 0
        self.under_way: dict[Place, Flight] = {}
        self._budget = budget_bytes
        self._seen: OrderedDict[Place, tuple[Seen[Any], int]] = OrderedDict()
        self._writers: dict[str, _Writers] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def find(self, place: Place) -> Seen[Any] | None:
        """What is remembered of a place, which is now the most recently used."""
        found = self._seen.get(place)
        if found is None:
            return None
        self._seen.move_to_end(place)
        return found[0]

    def land(self, place: Place, seen: Seen[Any]) -> None:
        """Keep what the current task has seen, unless a write or another question has put it aside."""
        flight = self.under_way.get(place)
        if flight is not None and flight.task is asyncio.current_task():
            self.keep(place, seen)

    def leave(self, place: Place) -> None:
        """Nobody else is to wait for the current task."""
        flight = self.under_way.get(place)
        if flight is not None and flight.task is asyncio.current_task():
            del self.under_way[place]

    def keep(self, place: Place, seen: Seen[Any]) -> None:
        """Remember an answer; of a large object its beginning, of a large page and of nothing nothing."""
        kind, key = place
        self._drop(place)
        if kind is Kind.CONTENT:
            self._drop((Kind.BEGINNING, key))
            if seen.value is not None and len(seen.value) > LARGEST:
                place, seen = (Kind.BEGINNING, key), replace(seen, value=seen.value[:PEEKED])
        size = _size(seen.value)
        if seen.value is None or size > LARGEST:
            return
        cost = _SLOT + len(key) + size
        self._seen[place] = seen, cost
        self.used += cost
        while self.used > self._budget:
            self._drop(next(iter(self._seen)))

    @contextlib.contextmanager
    def writing(self, after: Mapping[str, bytes | None], began: float) -> Iterator[None]:
        """A write that began now and leaves `after` by key when it is acknowledged, None what is not at hand.

        Acknowledged, it is remembered, where no other write of a key was under way at the same time: then
        it is not known which of them came last. One that fails may have been done or not: what was seen
        before it is doubted.
        """
        for key in after:
            self._enter(key)
        try:
            yield
        except ObjectChanged:
            self._put_aside(after, self._drop)
            raise
        except BaseException:
            self._put_aside(after, self._doubt)
            raise
        else:
            self._put_aside(after, self._drop)
            for key, left in after.items():
                if not self._writers[key].crowded:
                    self.keep((Kind.CONTENT, key), Seen(left, began))
        finally:
            for key in after:
                self._leave(key)

    def _enter(self, key: str) -> None:
        writers = self._writers.setdefault(key, _Writers())
        writers.count += 1
        writers.crowded |= writers.count > 1

    def _leave(self, key: str) -> None:
        writers = self._writers[key]
        writers.count -= 1
        if not writers.count:
            del self._writers[key]

    def _put_aside(self, keys: Iterable[str], how: Callable[[Place], None]) -> None:
        """Treat all that is of these keys so, and let nobody wait for what was asked of them before."""
        for key in keys:
            for place in _touched(key):
                self.under_way.pop(place, None)
                how(place)

    def _drop(self, place: Place) -> None:
        found = self._seen.pop(place, None)
        if found is not None:
            self.used -= found[1]

    def _doubt(self, place: Place) -> None:
        found = self._seen.get(place)
        if found is not None:
            self._seen[place] = replace(found[0], doubted=True), found[1]


def _touched(key: str) -> Iterator[Place]:
    """What a write of `key` may change: all of the key, and the names in every folder above it."""
    yield from ((kind, key) for kind in (Kind.CONTENT, Kind.BEGINNING, Kind.STAT))
    yield Kind.NAMES, ""
    yield from ((Kind.NAMES, key[:at]) for at, letter in enumerate(key) if letter == "/")


def _size(value: bytes | Stat | First | None) -> int:
    if isinstance(value, bytes):
        return len(value)
    return sum(len(name) + _NAME for name in value.page.names) if isinstance(value, First) else 0
