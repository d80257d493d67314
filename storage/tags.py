"""Tags of one repository: one object a tag, holding the descriptor that it names and what it named before.

The first line is the record of the descriptor, which is all that a pull reads; each further line is a
record of what the tag named earlier, newest first. Whoever moves a tag replaces the object that he has
read, so no move is lost of two at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing, Page, Witness
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.formats import Current
from storage.manifest import Descriptor

HISTORY = 90 * 24 * 3600.0
"""For how many seconds a tag remembers what it named."""
MOST = 100
"""How many earlier digests a tag remembers at most."""

_AT_ONCE = 64
_TRIES = 200
_MAX_BY = 128
_CHANCE = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Former:
    """What a tag named until a time (Unix seconds), and who then let it name something else."""

    descriptor: Descriptor
    until: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What a tag names, and what it named before: newest first."""

    named: Descriptor
    former: tuple[Former, ...] = ()


class Tags:
    """Names that move. `history` is for how many seconds they remember what they named.

    `current` says for which format they are written; without it, for this release's.
    """

    def __init__(
        self, driver: Driver, repository: str, *, history: float = HISTORY, current: Current | None = None
    ) -> None:
        self._driver = driver
        self._repository = repository
        self._history = history
        self._current = current or Current(driver, is_ours=True)

    async def resolve(self, tag: str) -> tuple[Descriptor, Witness]:
        """What a tag names, and what to look at to know that it still does; raises ManifestUnknown."""
        key = paths.tag(self._repository, tag)
        record, _ = records.split(await self._object(tag))
        return records.read_descriptor(record, key), Witness(key, record)

    async def history(self, tag: str) -> History:
        """What a tag names and named; raises ManifestUnknown."""
        found = read(await self._object(tag), paths.tag(self._repository, tag))
        since = time.time() - self._history
        return History(found.named, tuple(one for one in found.former if one.until >= since))

    async def held(self, tag: str) -> bytes | None:
        """What a tag's object holds now, for `move`; None where there is no such tag."""
        with contextlib.suppress(ObjectMissing):
            return await self._driver.get(paths.tag(self._repository, tag))
        return None

    async def move(self, tag: str, descriptor: Descriptor, held: bytes | None, *, by: str = "") -> bool:
        """Let a tag name a manifest while it is as it was `held`; whether it was. `by` is who wants it.

        Named again, it counts as written now.
        """
        key = paths.tag(self._repository, tag)
        named = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        try:
            if held is None:
                await self._driver.create(key, records.write_descriptor(named))
            else:
                moved = self._moved(held, key, named, by)
                # In format 1 a tag has no lines; one that has some is read by no such release anyway.
                if records.split(held)[1] is None and not await self._current.is_ours():
                    moved = records.write_descriptor(named)
                await self._driver.replace(key, moved, held)
        except (ObjectExists, ObjectChanged):
            return False
        return True

    async def put(self, tag: str, descriptor: Descriptor, *, by: str = "") -> None:
        """Let a tag name a manifest, whatever it named before; `by` is who wants it.

        Raises StoreUnavailable where others move it all the time.
        """
        for tried in range(_TRIES):
            if await self.move(tag, descriptor, await self.held(tag), by=by):
                return
            # Of many who move it at once one gets through each time; the others do not come back together.
            await asyncio.sleep(_CHANCE.uniform(0, 0.001 * min(tried, 50)))
        raise StoreUnavailable(f"the tag {tag!r} is being moved by others.", fix="Push it again.")

    async def delete(self, tag: str) -> None:
        """Remove a tag; the manifest stays. Raises ManifestUnknown."""
        if not await self._driver.delete(paths.tag(self._repository, tag)):
            raise self._unknown(tag)

    async def delete_held(self, tag: str, held: bytes) -> bool:
        """Remove a tag while it is as it was `held`; whether it was."""
        with contextlib.suppress(ObjectChanged):
            return await self._driver.delete(paths.tag(self._repository, tag), expected=held)
        return False

    async def page(self, *, after: str = "", limit: int | None = None) -> Page:
        """A part of the tags in byte order."""
        return await self._driver.children(paths.tags(self._repository), after=after, limit=limit)

    async def forget(self, digest: Digest) -> None:
        """Remove every tag that names this digest."""
        after, more = "", True
        while more:
            page = await self._driver.children(paths.tags(self._repository), after=after, limit=_AT_ONCE)
            await asyncio.gather(*(self._forget_if(tag, digest) for tag in page.names))
            after, more = (page.names[-1] if page.names else after), page.more

    async def _forget_if(self, tag: str, digest: Digest) -> None:
        # A tag that is moved to another manifest at this time stays.
        with contextlib.suppress(ManifestUnknown, ObjectChanged):
            key, held = paths.tag(self._repository, tag), await self._object(tag)
            if records.read_descriptor(records.split(held)[0], key).digest == digest:
                await self._driver.delete(key, expected=held)

    async def _object(self, tag: str) -> bytes:
        try:
            return await self._driver.get(paths.tag(self._repository, tag))
        except ObjectMissing:
            raise self._unknown(tag) from None

    def _unknown(self, tag: str) -> ManifestUnknown:
        return ManifestUnknown(f"{self._repository} has no tag {tag!r}.")

    def _moved(self, held: bytes, key: str, named: Descriptor, by: str) -> bytes:
        """What a tag that is `held` is when it names this."""
        now, record = time.time(), records.write_descriptor(named)
        try:
            found = read(held, key)
        except StoreUnavailable:  # of a damaged one nothing is known
            return record
        earlier = found.former
        if found.named.digest != named.digest:
            earlier = (Former(found.named, round(now, 3), by[:_MAX_BY]), *earlier)
        kept = [one for one in earlier[:MOST] if one.until >= now - self._history]
        return b"\n".join((record, *map(_line, kept)))


def read(held: bytes, key: str) -> History:
    """What a tag's object says; raises StoreUnavailable naming the key when it is damaged."""
    record, lines = records.split(held)
    return History(records.read_descriptor(record, key), tuple(_former(lines or b"", key)))


def _former(lines: bytes, key: str) -> Iterator[Former]:
    for line in lines.split(b"\n")[:MOST] if lines else ():
        found = records.read(line, key)
        until, by = found.get("until"), found.get("by", "")
        if not isinstance(until, int | float) or not isinstance(by, str):
            raise records.damaged(key)
        yield Former(records.read_descriptor(line, key), float(until), by)


def _line(former: Former) -> bytes:
    said = {"by": former.by} if former.by else {}
    return records.write(former.descriptor.to_json() | {"until": former.until} | said)
