"""What the kinds of work of one run share: the store, the times, the counts, and the pace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from storage import paths
from storage.driver import Driver, Entry, ObjectChanged
from storage.gc.graph import Graph
from storage.gc.retention import DAY
from storage.trash import SECONDS

AT_ONCE = 8
"""Calls to the store at a time: as many again, and more, are left to requests."""
_BATCH = 500

T = TypeVar("T")
R = TypeVar("R")

Kind = Literal["tag", "manifest", "link", "content", "trash"]


@dataclass(frozen=True, slots=True)
class Waits:
    """How many seconds something rests at each step.

    `grace`: what is younger is not looked at, for what names it may be on its way. `unlinked`: how long a
    blob that the repository does not have any more may be named by a manifest of one who was told that it
    has; longer than any push takes between the two. `trash`: how long all can be brought back.
    """

    grace: float = DAY
    unlinked: float = DAY
    trash: float = SECONDS


@dataclass(frozen=True, slots=True)
class Gone:
    """What was taken away, or would be: `name` is a tag, a digest or, in the trash, a key."""

    kind: Kind
    repository: str
    name: str
    size: int


@dataclass(slots=True)
class Collected:
    """What a run did, or would do: how many of each kind, and their bytes.

    `links` are blobs that a repository lost, `contents` bytes that no repository has; `restored` came back,
    as something named them again. Of the repositories in `damaged` nothing was taken: what a manifest names
    that cannot be read is not known.
    """

    repositories: int = 0
    tags: int = 0
    manifests: int = 0
    manifest_bytes: int = 0
    links: int = 0
    contents: int = 0
    content_bytes: int = 0
    purged: int = 0
    purged_bytes: int = 0
    restored: int = 0
    damaged: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Job:
    """One run over `driver`, which began at `began` (Unix seconds); a `dry` one changes nothing.

    `told` hears of all that goes, `shown` how far it is: what is being done, and how many steps in all.
    """

    driver: Driver
    graph: Graph
    began: float
    waits: Waits
    dry: bool
    pause: float
    told: Callable[[Gone], None]
    shown: Callable[[str, int], None]
    collected: Collected = field(default_factory=Collected)
    steps: int = 0

    @property
    def old(self) -> float:
        """What was written before this time is old enough to go."""
        return self.began - self.waits.grace

    async def all(self, doing: str, items: Sequence[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
        """Do it for all, some at a time, with a pause between. All have ended when it raises."""
        results: list[R] = []
        for at in range(0, len(items), AT_ONCE):
            done = await asyncio.gather(*map(do, items[at : at + AT_ONCE]), return_exceptions=True)
            for one in done:
                if isinstance(one, BaseException):
                    raise one
                results.append(one)
            self.steps += len(done)
            self.shown(doing, self.steps)
            await asyncio.sleep(self.pause)
        return results

    async def walk(self, folder: str) -> AsyncIterator[list[Entry]]:
        """Every object below a folder, in batches."""
        batch: list[Entry] = []
        async for entry in self.driver.walk(folder):
            batch.append(entry)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        yield batch

    async def take(self, key: str, *, before: float) -> bool:
        """Move an object that was written before that time to the trash; whether it went."""
        return await self.move(key, paths.trash(key), before=before)

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """Move an object, where it was written before that time, if any is said; whether it went."""
        if self.dry:
            return True
        with contextlib.suppress(ObjectChanged):
            return await self.driver.move(key, target, before=before)
        return False
