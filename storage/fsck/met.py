"""What a check meets in a store: the keys of its objects, stage by stage, in little memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from storage import paths, records
from storage.digest import ALGORITHMS
from storage.driver import Driver, ObjectMissing
from storage.fsck import keys
from storage.fsck.finding import Finding, Kind
from storage.fsck.linked import Linked

YOUNG = 24 * 3600.0
"""Seconds in which what nothing names may be somebody's who is at work."""

_PAGE = 1000
_AT_ONCE = 32
_REMEMBERED = 10_000
_TEMP = "temp"

T = TypeVar("T")


class Met:
    """The objects of a store, by their keys. Those that come or go meanwhile are met or not.

    `apart`: the bytes of manifests may lie under `blobs/`, as format 1 has them.
    """

    def __init__(self, driver: Driver, linked: Linked, *, apart: bool) -> None:
        self._driver = driver
        self._apart = apart
        self._linked = linked

    async def content(self, after: str) -> AsyncIterator[str]:
        """All content whose key sorts after `after`, in byte order of the keys."""
        for algorithm in ALGORITHMS:
            above = f"{paths.CONTENT}/{algorithm}"
            async for part in self._names(above, ""):
                folder = f"{above}/{part}"
                begun = after.startswith(f"{folder}/")
                if begun or after < folder:
                    async for name in self._names(folder, after.rpartition("/")[2] if begun else ""):
                        if isinstance(keys.read(f"{folder}/{name}"), keys.Bytes):
                            yield f"{folder}/{name}"

    async def links(self) -> AsyncIterator[str]:
        """The links of all repositories; what they and derived records name is noted as linked."""
        async for batch in batches(self._walked(paths.REPOSITORIES), _PAGE):
            links, derived = [], []
            for key in batch:
                match keys.read(key):
                    case keys.Link(_, digest, ends):
                        self._linked.add([digest.hex])
                        links += [] if ends else [key]
                    case keys.ManifestAt(_, digest) if self._apart:
                        self._linked.add([digest.hex])
                    case keys.DerivedFrom():
                        derived.append(key)
            for at in range(0, len(derived), _AT_ONCE):
                for record in await asyncio.gather(*map(self._record, derived[at : at + _AT_ONCE])):
                    self._linked.add(records.digests_in(record))
            for key in links:
                yield key

    async def manifests(self) -> AsyncIterator[str]:
        """The manifests of all repositories."""
        async for key in self._walked(paths.REPOSITORIES):
            if isinstance(keys.read(key), keys.ManifestAt):
                yield key

    async def names(self) -> AsyncIterator[str]:
        """What names manifests, tags and rows, and what in repositories is no place at all."""
        async for key in self._walked(paths.REPOSITORIES):
            if isinstance(keys.read(key), keys.Tag | keys.Row | None):
                yield key

    async def catalog(self) -> AsyncIterator[str]:
        """The catalog as it is, and as the repositories that have manifests say that it should be."""
        met: OrderedDict[str, None] = OrderedDict()
        async for key in self._walked(paths.REPOSITORIES):
            place = keys.read(key)
            if isinstance(place, keys.ManifestAt) and place.repository not in met:
                met[place.repository] = None
                if len(met) > _REMEMBERED:  # one that was forgotten is looked at again
                    met.popitem(last=False)
                yield paths.catalog(place.repository)
        async for key in self._walked(paths.CATALOG):
            if isinstance(place := keys.read(key), keys.Entry) and place.repository not in met:
                yield key

    async def strays(self) -> AsyncIterator[str]:
        """What lies in the folders of a store and is no place in it, repositories left aside."""
        for folder in (paths.CONTENT, paths.CATALOG, paths.UPLOADS, paths.REFUSALS, paths.URLS, paths.PULLS):
            async for key in self._walked(folder):
                if keys.read(key) is None:
                    yield key

    async def unlinked(self) -> AsyncIterator[tuple[Finding, int]]:
        """Content that nothing has named for a day, and its size; to be asked after `links`."""
        before = time.time() - YOUNG
        async for entry in self._driver.walk(paths.CONTENT):
            place = keys.read(entry.key)
            if not isinstance(place, keys.Bytes) or entry.modified >= before:
                continue
            if place.digest.hex not in self._linked:
                what = f"no repository names these {entry.size} bytes"
                yield Finding(Kind.UNLINKED, entry.key, what), entry.size

    async def beside(self) -> AsyncIterator[Finding]:
        """What is at the root and not of the registry, and what writers that died left behind."""
        known = {*keys.FOLDERS, *keys.SINGLE, *keys.ASIDE}
        for name in (await self._driver.children("")).names:
            if name not in known:
                yield Finding(Kind.FOREIGN, name, "it lies beside the content, and is not of the registry")
        before = time.time() - YOUNG
        async for entry in self._driver.walk(_TEMP):
            if entry.modified < before:
                yield Finding(Kind.LEFTOVER, entry.key, "a writer that died left it behind")

    async def _walked(self, folder: str) -> AsyncIterator[str]:
        async for entry in self._driver.walk(folder):
            yield entry.key

    async def _names(self, folder: str, after: str) -> AsyncIterator[str]:
        more = True
        while more:
            page = await self._driver.children(folder, after=after, limit=_PAGE)
            for name in page.names:
                yield name
            after, more = (page.names[-1] if page.names else after), page.more

    async def _record(self, key: str) -> bytes:
        with contextlib.suppress(ObjectMissing):
            return await self._driver.get(key)
        return b""


async def batches(source: AsyncIterator[T], size: int) -> AsyncIterator[list[T]]:
    """What comes, `size` at a time."""
    batch: list[T] = []
    async for one in source:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def each(source: Iterable[T]) -> AsyncIterator[T]:
    """What is at hand, as if it came."""
    for one in source:
        yield one
