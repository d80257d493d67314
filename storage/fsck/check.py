"""The check of a whole store, stage by stage: bytes, links, manifests, what names manifests, and the rest.

The order lets one run mend what follows from one another: wrong bytes go first, then the links to them.
Memory is bounded: objects are met one after another, and what is found is told as it is found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from storage import formats, paths
from storage.driver import Driver, ObjectMissing
from storage.errors import StoreError
from storage.fsck import progress
from storage.fsck.finding import Finding, Kind
from storage.fsck.hashing import Hashing
from storage.fsck.linked import Linked
from storage.fsck.look import Looker
from storage.fsck.mend import Mender, Suspect
from storage.fsck.met import YOUNG, Met, batches, each

SETTLE = 10.0
"""Seconds between the two looks at something: longer than a request is between two of its steps."""

_AT_ONCE = 32
_HASHED_AT_ONCE = 4
_MOST_SUSPECTS = 2000
_SAVED_EVERY = 5.0

Done = Callable[[Sequence[str], Sequence[Suspect]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to check: `repair` mends, `hash_bytes` reads all content.

    It reads `rate` bytes a second at most (0: no limit). `restart` does not go on where another check was
    interrupted. `settle` seconds are between the two looks. `sparse` says of a repository whether its
    manifests may name what is not here.
    """

    repair: bool = False
    hash_bytes: bool = True
    rate: float = 0
    restart: bool = False
    settle: float = SETTLE
    sparse: Callable[[str], bool] = field(default=lambda _: False)


@dataclass(slots=True)
class Counts:
    """How far it is, and what came of it: `found` do harm where they are not `mended`, `notes` do none."""

    objects: int = 0
    blobs: int = 0
    bytes: int = 0
    found: int = 0
    mended: int = 0
    notes: int = 0
    unlinked: int = 0
    unlinked_bytes: int = 0

    @property
    def left(self) -> int:
        """What does harm still."""
        return self.found - self.mended


@dataclass(frozen=True, slots=True)
class Result:
    """A finding that counts, and whether it was mended."""

    finding: Finding
    mended: bool = False


class Check:
    """One check of a store. `told` is called now and then with what is being looked at.

    `went_on`: it went on where another one was interrupted.
    """

    def __init__(self, driver: Driver, wanted: Wanted, told: Callable[[str, Counts], None]) -> None:
        self.counts = Counts()
        self.went_on = False
        self._driver = driver
        self._wanted = wanted
        self._told = told
        self._hashing = Hashing(driver, wanted.rate)
        self._looker = Looker(driver, self._hashing, wanted.sparse)
        self._mender = Mender(driver, self._looker, self._hashing)

    async def run(self) -> AsyncIterator[Result]:
        """What is wrong, as it is found; raises StoreError where the store does not answer."""
        apart = not (await formats.load(self._driver)).is_settled
        with Linked() as linked:
            met = Met(self._driver, linked, apart=apart)
            if self._wanted.hash_bytes:
                async for result in self._content(met):
                    yield result
            for stage, objects in (
                ("links", met.links()),
                ("manifests", met.manifests()),
                ("tags and referrers", met.names()),
                ("catalog", met.catalog()),
                ("other objects", met.strays()),
            ):
                async for result in self._stage(stage, objects):
                    yield result
            async for finding, size in met.unlinked():
                self.counts.unlinked += 1
                self.counts.unlinked_bytes += size
                yield self._counted(finding)
            async for finding in met.beside():
                yield self._counted(finding, mended=self._wanted.repair and finding.kind is Kind.LEFTOVER)
        if self._wanted.repair:
            await self._driver.sweep(time.time() - YOUNG)

    async def _content(self, met: Met) -> AsyncIterator[Result]:
        """Look at all bytes, from where another check was interrupted."""
        if self._wanted.restart:
            await progress.forget(self._driver)
        state = await progress.load(self._driver)
        self.went_on = bool(state.after)
        self.counts.blobs, self._hashing.bytes = state.blobs, state.bytes
        saved = time.monotonic()

        async def done(batch: Sequence[str], suspects: Sequence[Suspect]) -> None:
            nonlocal saved
            state.after, state.bytes = batch[-1], self._hashing.bytes
            state.blobs += len(batch)
            state.wrong += [suspect.finding.key for suspect in suspects]
            self.counts.blobs = state.blobs
            if time.monotonic() - saved > _SAVED_EVERY:
                saved = time.monotonic()
                await progress.save(self._driver, state)

        try:
            async for result in self._stage("bytes", each(tuple(state.wrong))):
                yield result
            async for result in self._stage("bytes", met.content(state.after), _HASHED_AT_ONCE, done):
                yield result
        except (asyncio.CancelledError, StoreError):
            await progress.save(self._driver, state)
            raise
        await progress.forget(self._driver)

    async def _stage(
        self, stage: str, objects: AsyncIterator[str], at_once: int = _AT_ONCE, done: Done | None = None
    ) -> AsyncIterator[Result]:
        """Look at objects; what is found counts where it is so at a second look too."""
        suspects: list[Suspect] = []
        async for batch in batches(objects, at_once):
            found = [one for some in await asyncio.gather(*map(self._suspects, batch)) for one in some]
            suspects += found
            if done:
                await done(batch, found)
            self.counts.objects += len(batch)
            self.counts.bytes = self._hashing.bytes
            self._told(stage, self.counts)
            if len(suspects) > _MOST_SUSPECTS:
                async for result in self._settled(suspects):
                    yield result
                suspects = []
        async for result in self._settled(suspects):
            yield result

    async def _settled(self, suspects: Sequence[Suspect]) -> AsyncIterator[Result]:
        if not suspects:
            return
        await asyncio.sleep(self._wanted.settle)
        for at in range(0, len(suspects), _AT_ONCE):
            batch = suspects[at : at + _AT_ONCE]
            looked_at = dict.fromkeys(suspect.finding.key for suspect in batch)
            again = await asyncio.gather(*map(self._suspects, looked_at))
            still = {suspect for found in again for suspect in found}
            for suspect in batch:
                if suspect in still:
                    mended = self._wanted.repair and await self._mender.mend(suspect)
                    yield self._counted(suspect.finding, mended=mended)
        if self._wanted.repair:
            await asyncio.sleep(self._wanted.settle)
            await self._mender.settle()

    async def _suspects(self, key: str) -> list[Suspect]:
        """What is wrong with an object now, with the time when it was written."""
        try:
            if not await self._looker.look(key):
                return []
            # The time comes before the look: what is written between the two is not what was seen.
            modified = await self._modified(key)
            return [Suspect(finding, modified) for finding in await self._looker.look(key)]
        except StoreError as error:
            await self._driver.get(paths.FORMAT)  # which fails too where it is not this object alone
            return [Suspect(Finding(Kind.UNREADABLE, key, error.message), None)]

    async def _modified(self, key: str) -> float | None:
        try:
            return (await self._driver.stat(key)).modified
        except ObjectMissing:
            return None

    def _counted(self, finding: Finding, *, mended: bool = False) -> Result:
        if finding.kind.harms:
            self.counts.found += 1
            self.counts.mended += mended
        else:
            self.counts.notes += 1
        return Result(finding, mended)
