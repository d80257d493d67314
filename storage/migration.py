"""Migration: a store of the format before becomes one of this release's, while it is served.

First the store says so: from then on servers of this release write its form, and those of the release
before do not start. Then each step brings over what has the form before, until it finds nothing more to do.
It may be ended anywhere and begun again, and two may run at once: what is done is not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from storage import formats, kept, paths
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged
from storage.errors import DigestInvalid
from storage.formats import FORMAT, Format

_AT_ONCE = 16


@dataclass(slots=True)
class Progress:
    """How far it is: objects that were `looked` at, and `changed`."""

    looked: int = 0
    changed: int = 0


Told = Callable[[Progress], None]
Step = Callable[[Driver, Progress, Told], Awaitable[None]]


async def migrate(driver: Driver, told: Told) -> Progress:
    """Bring a store to this release's format; `told` hears how far it is. Raises StoreError.

    No older release may serve it any more: it could not read what it finds.
    """
    progress = Progress()
    while not (found := await formats.load(driver)).is_settled:
        former = found.number if found.former is None else found.former
        begun = Format(FORMAT, former)
        if found != begun and not await _say(driver, found, begun):
            continue
        for number in range(former, FORMAT):
            await _until_done(STEPS[number], driver, progress, told)
        await _say(driver, begun, Format())
    return progress


async def enclose_manifests(driver: Driver, progress: Progress, told: Told) -> None:
    """From 1 to 2: the bytes of a manifest go into its object. Those of before are garbage then."""

    async def enclose(found: tuple[str, Digest]) -> bool:
        return await kept.enclose(driver, *found)

    async for batch in _manifests(driver):
        progress.changed += sum(await asyncio.gather(*map(enclose, batch)))
        progress.looked += len(batch)
        told(progress)


STEPS: Mapping[int, Step] = {1: enclose_manifests}
"""From each format to the one after it: online, and again is fine."""


async def _until_done(step: Step, driver: Driver, progress: Progress, told: Told) -> None:
    """A write that began before the store said its format may end after it was walked past."""
    before = -1
    while progress.changed != before:
        before = progress.changed
        await step(driver, progress, told)


async def _manifests(driver: Driver) -> AsyncIterator[list[tuple[str, Digest]]]:
    batch: list[tuple[str, Digest]] = []
    async for entry in driver.walk(paths.REPOSITORIES):
        owned = paths.owned(entry.key)
        if owned is None or owned.folder != "manifests":
            continue
        try:
            batch.append((entry.key, Digest.parse(owned.name.replace("/", ":", 1))))
        except DigestInvalid:  # a stray: fsck tells of it
            continue
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    yield batch


async def _say(driver: Driver, before: Format, now: Format) -> bool:
    try:
        await driver.replace(paths.FORMAT, now.written(), before.written())
    except ObjectChanged:  # by somebody who does the same
        return False
    return True
