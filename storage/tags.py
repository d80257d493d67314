"""Tags of one repository: one object a tag, holding the descriptor that it names and what it named before.

The first line is the record of the descriptor, which is all that a pull reads, with since when the tag names
it and who wanted that; each further line is what it was before, newest first, with until when. Whoever
moves a tag replaces the object that he has read, so no move is lost of two at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

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
    """What a tag named until a time (Unix seconds); since when, and who wanted it ("": not known)."""

    descriptor: Descriptor
    until: float
    by: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What a tag names, since when and who wanted it; and what it named before: newest first."""

    named: Descriptor
    former: tuple[Former, ...] = ()
    by: str = ""
    since: float | None = None


def anyhow(held: bytes | None) -> None:
    """What `Tags.settle` asks where a tag may be moved, whatever it is."""


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
        found, _ = await self.whole(tag)
        since = time.time() - self._history
        return replace(found, former=tuple(one for one in found.former if one.until >= since))

    async def whole(self, tag: str) -> tuple[History, Witness]:
        """All that a tag's object says, however long ago it was, and the witness of what it names.

        Raises ManifestUnknown.
        """
        key, held = paths.tag(self._repository, tag), await self._object(tag)
        return read(held, key), Witness(key, records.split(held)[0])

    async def held(self, tag: str) -> bytes | None:
        """What a tag's object holds now, for `move`; None where there is no such tag."""
        with contextlib.suppress(ObjectMissing):
            return await self._driver.get(paths.tag(self._repository, tag))
        return None

    async def move(
        self,
        tag: str,
        descriptor: Descriptor,
        held: bytes | None,
        *,
        by: str = "",
        answered: Digest | None = None,
    ) -> bool:
        """Let a tag name a manifest while it is as it was `held`; whether it was. `by` is who wants it.

        Named again, it counts as written now. What some are still `answered` is remembered however old it is.
        """
        key = paths.tag(self._repository, tag)
        named = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        # In format 1 a tag has no lines; one that has some is read by no such release anyway.
        is_plain = held is None or records.split(held)[1] is None
        if is_plain and not await self._current.is_ours():
            moved = records.write_descriptor(named)
        else:
            moved = self._moved(held, key, named, by[:_MAX_BY], answered)
        try:
            if held is None:
                await self._driver.create(key, moved)
            else:
                await self._driver.replace(key, moved, held)
        except (ObjectExists, ObjectChanged):
            return False
        return True

    async def put(self, tag: str, descriptor: Descriptor, *, by: str = "") -> None:
        """Let a tag name a manifest, whatever it named before; `by` is who wants it."""
        await self.settle(tag, descriptor, await self.held(tag), by=by)

    async def settle(
        self,
        tag: str,
        descriptor: Descriptor,
        held: bytes | None,
        *,
        by: str = "",
        may: Callable[[bytes | None], None] = anyhow,
        answered: Digest | None = None,
    ) -> Digest | None:
        """Let a tag that was `held` name a manifest, however often it has to be tried; what it named before.

        `may` is asked before each try of what the tag is then, and raises where it must not be moved from
        there. `answered`: as for `move`. Raises StoreUnavailable where others move it all the time.
        """
        for tried in range(_TRIES):
            may(held)
            if await self.move(tag, descriptor, held, by=by, answered=answered):
                return self.named(tag, held)
            # Of many who move it at once one gets through each time; the others do not come back together.
            await asyncio.sleep(_CHANCE.uniform(0, 0.001 * min(tried, 50)))
            held = await self.held(tag)
        raise StoreUnavailable(f"the tag {tag!r} is being moved by others.", fix="Push it again.")

    def named(self, tag: str, held: bytes | None) -> Digest | None:
        """The digest that a tag names which is `held`; None for no tag, and for a damaged one."""
        if held is not None:
            with contextlib.suppress(StoreUnavailable):
                record, _ = records.split(held)
                return records.read_descriptor(record, paths.tag(self._repository, tag)).digest
        return None

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

    async def naming(self, digest: Digest) -> list[str]:
        """The tags that name this digest."""

        async def naming(tag: str) -> str | None:
            return tag if self.named(tag, await self.held(tag)) == digest else None

        return [tag for tag in await self._each(naming) if tag is not None]

    async def forget(self, digest: Digest, spared: Callable[[str], bool] = lambda _: False) -> list[str]:
        """Remove every tag that names this digest, but for those that are `spared`: these it gives back."""

        async def forget(tag: str) -> str | None:
            # A tag that is moved to another manifest at this time stays.
            with contextlib.suppress(ManifestUnknown, ObjectChanged):
                key, held = paths.tag(self._repository, tag), await self._object(tag)
                if records.read_descriptor(records.split(held)[0], key).digest == digest:
                    if spared(tag):
                        return tag
                    await self._driver.delete(key, expected=held)
            return None

        return [tag for tag in await self._each(forget) if tag is not None]

    async def _each(self, do: Callable[[str], Awaitable[str | None]]) -> list[str | None]:
        """What is done of every tag."""
        done: list[str | None] = []
        after, more = "", True
        while more:
            page = await self._driver.children(paths.tags(self._repository), after=after, limit=_AT_ONCE)
            done += await asyncio.gather(*map(do, page.names))
            after, more = (page.names[-1] if page.names else after), page.more
        return done

    async def _object(self, tag: str) -> bytes:
        try:
            return await self._driver.get(paths.tag(self._repository, tag))
        except ObjectMissing:
            raise self._unknown(tag) from None

    def _unknown(self, tag: str) -> ManifestUnknown:
        return ManifestUnknown(f"{self._repository} has no tag {tag!r}.")

    def _moved(
        self, held: bytes | None, key: str, named: Descriptor, by: str, answered: Digest | None
    ) -> bytes:
        """What a tag that is `held` is when it names this."""
        now = round(time.time(), 3)
        record = records.write(named.to_json() | _said(now, by))
        if held is None:
            return record
        try:
            found = read(held, key)
        except StoreUnavailable:  # of a damaged one nothing is known
            return record
        if found.named.digest == named.digest:
            record = records.write(named.to_json() | _said(found.since, found.by))
            earlier = found.former
        else:
            earlier = (Former(found.named, now, found.by, found.since), *found.former)
        kept = [one for one in earlier[:MOST] if one.until >= now - self._history]
        if answered is not None and all(one.descriptor.digest != answered for one in kept):
            kept = kept[: MOST - 1] + [one for one in earlier if one.descriptor.digest == answered][:1]
        return b"\n".join((record, *map(_line, kept)))


def read(held: bytes, key: str) -> History:
    """What a tag's object says; raises StoreUnavailable naming the key when it is damaged."""
    record, lines = records.split(held)
    named = records.read_descriptor(record, key)
    by, since = _by_and_since(records.read(record, key), key)
    return History(named, tuple(_former(lines or b"", key)), by, since)


def described(record: bytes, named: Descriptor, key: str) -> bytes:
    """A tag's first line with another descriptor; since when and by whom stay, where they can be read."""
    said: dict[str, Any] = {}
    with contextlib.suppress(StoreUnavailable):
        by, since = _by_and_since(records.read(record, key), key)
        said = _said(since, by)
    return records.write(named.to_json() | said)


def _former(lines: bytes, key: str) -> Iterator[Former]:
    for line in lines.split(b"\n")[:MOST] if lines else ():
        found = records.read(line, key)
        until = found.get("until")
        if not isinstance(until, int | float):
            raise records.damaged(key)
        yield Former(records.read_descriptor(line, key), float(until), *_by_and_since(found, key))


def _by_and_since(found: dict[str, Any], key: str) -> tuple[str, float | None]:
    by, since = found.get("by", ""), found.get("since")
    if not isinstance(by, str) or not isinstance(since, int | float | None):
        raise records.damaged(key)
    return by, since


def _line(former: Former) -> bytes:
    said = former.descriptor.to_json() | _said(former.since, former.by)
    return records.write(said | {"until": former.until})


def _said(since: float | None, by: str) -> dict[str, Any]:
    return ({} if since is None else {"since": since}) | ({"by": by} if by else {})
