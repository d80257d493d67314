"""The ledger of a quota: the sum of what counts, and of which objects it is not known whether they are there.

An object counts while it is there. Who is about to write or to remove one opens it first, and ends that
afterwards: while it is open its bytes count, and when nobody holds it open any more it counts if it is there.
So the sum is right whenever a process ends: what it held open lapses, and somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from storage import paths, records
from storage.errors import StoreUnavailable

MOST_TOUCHED = 20_000
"""Objects that may change while all are counted; with more of them the count is given up."""


class NoRoom(Exception):
    """More bytes than are left: `used` is what counts now, `size` what was to be added."""

    def __init__(self, used: int, size: int) -> None:
        super().__init__(f"{size} bytes on top of {used}")
        self.used = used
        self.size = size


@dataclass(frozen=True, slots=True)
class Open:
    """An object of `size` bytes that counts, there or not; `holders` are until when (Unix seconds)."""

    size: int
    holders: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Count:
    """A count that is under way: who counts, until when that is waited for, and what changes meanwhile.

    `touched` are objects and their sizes.
    """

    by: str
    until: float
    touched: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a quota has in use; `counted` is when all of it was counted last (Unix seconds; None: never).

    `version` is another one after each change, so that no two states of a store's ledger are the same.
    """

    used: int = 0
    open: Mapping[str, Open] = field(default_factory=dict)
    counted: float | None = None
    count: Count | None = None
    version: int = 0

    def begun(
        self,
        token: str,
        sizes: Mapping[str, int],
        present: Collection[str],
        until: float,
        *,
        allowed: int | None = None,
        instead: Iterable[str] = (),
    ) -> Ledger:
        """Objects are held open by `token`; `instead` are uploads that they come out of.

        `present` are those that are there. Raises NoRoom where that is more than is `allowed`.
        """
        opened = dict(self.open)
        freed = sum(gone.size for key in instead if (gone := opened.pop(key, None)))
        more = 0
        for key, size in sizes.items():
            held = opened.get(key)
            if held is None:
                more += 0 if key in present else size
                opened[key] = Open(size, {token: until})
                continue
            grown = max(size, held.size) if is_upload(key) else held.size
            more += grown - held.size
            opened[key] = Open(grown, {**held.holders, token: until})
        used = self.used - freed + more
        if allowed is not None and more > freed and used > allowed:
            raise NoRoom(self.used, more - freed)
        return replace(self, used=used, open=opened, count=self._touched(sizes))

    def ended(self, token: str, keys: Iterable[str], present: Collection[str]) -> Ledger:
        """Objects are not held open by `token` any more."""
        now = self
        for key in keys:
            if (held := now.open.get(key)) and token in held.holders:
                left = {name: until for name, until in held.holders.items() if name != token}
                now = now._left(key, left, present)
        return now

    def lapsed(self, now: float) -> list[str]:
        """What nobody holds open any more who lives."""
        return [key for key, one in self.open.items() if all(until <= now for until in one.holders.values())]

    def settled(self, now: float, present: Collection[str]) -> Ledger:
        """What has lapsed counts where it is there; a count that has lapsed is forgotten."""
        after = self
        for key in self.lapsed(now):
            after = after._left(key, {}, present)
        if after.count and after.count.until <= now:
            after = replace(after, count=None)
        return after

    def counting(self, by: str, until: float) -> Ledger:
        """A count is under way, and takes the place of one that was."""
        return replace(self, count=Count(by, until, {key: one.size for key, one in self.open.items()}))

    def counted_anew(
        self, by: str, total: int, met: Callable[[str], int], present: Collection[str], now: float
    ) -> Ledger:
        """What a count has found; the ledger itself where that was given up.

        `total` is the sum of what it met, `met` says with how many bytes a key is in it. Of what was touched
        meanwhile `present` are the objects that are there.
        """
        if self.count is None or self.count.by != by:
            return self
        touched = self.count.touched
        counts = {key: size for key, size in touched.items() if key in present}
        counts |= {key: one.size for key, one in self.open.items()}
        used = total - sum(map(met, touched.keys() | self.open.keys())) + sum(counts.values())
        return replace(self, used=used, counted=now, count=None)

    def _left(self, key: str, holders: Mapping[str, float], present: Collection[str]) -> Ledger:
        opened = dict(self.open)
        size = opened[key].size
        if holders:
            opened[key] = Open(size, holders)
            return replace(self, open=opened)
        del opened[key]
        return replace(self, used=self.used - (0 if key in present else size), open=opened)

    def _touched(self, sizes: Mapping[str, int]) -> Count | None:
        if self.count is None:
            return None
        touched = {**self.count.touched, **sizes}
        return replace(self.count, touched=touched) if len(touched) <= MOST_TOUCHED else None


def is_upload(key: str) -> bool:
    """Whether it is an upload under way: its bytes count while somebody holds it open, and no longer."""
    return key.startswith(f"{paths.UPLOADS}/")


def written(ledger: Ledger, repositories: str) -> bytes:
    """A ledger as a record; `repositories` is for people who read it."""
    document: dict[str, Any] = {"repositories": repositories, "used": ledger.used, "counted": ledger.counted}
    document["version"] = ledger.version
    document["open"] = {key: {"size": one.size, "holders": one.holders} for key, one in ledger.open.items()}
    if count := ledger.count:
        document["count"] = {"by": count.by, "until": count.until, "touched": count.touched}
    return records.write(document)


def read(data: bytes, key: str) -> Ledger:
    """The ledger in a record; one that is damaged is one that was never counted."""
    try:
        document = records.read(data, key)
        count = document.get("count")
        return Ledger(
            used=int(document["used"]),
            version=int(document["version"]),
            open={
                name: Open(int(one["size"]), {who: float(until) for who, until in one["holders"].items()})
                for name, one in document["open"].items()
            },
            counted=None if document["counted"] is None else float(document["counted"]),
            count=Count(
                str(count["by"]),
                float(count["until"]),
                {name: int(size) for name, size in count["touched"].items()},
            )
            if count
            else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, StoreUnavailable):
        return Ledger()
