"""URLs that were given out: of one repository, by tag or digest, an object each; bounded in every way.

What is here counts; what is taken away does not any more, and whoever remembers an answer has the object for
its witness. Nothing here is a secret: a URL cannot be made of it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing, Witness
from storage.errors import Denied, StoreUnavailable

MOST = 10
"""URLs of one tag or digest at a time: their object is no longer than a peek shows."""
MOST_REFERENCES = 1000
"""Tags and digests of one repository that have URLs."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that was given out: its id, by whom, since when and until when (Unix seconds; None: for ever)."""

    id: str
    by: str
    since: float
    ends: float | None = None

    def counts(self, now: float) -> bool:
        """Whether it has not ended."""
        return self.ends is None or now < self.ends


@dataclass(frozen=True, slots=True)
class Of:
    """A URL and what it is for."""

    repository: str
    reference: str
    url: Url


def _ignored(_: Url) -> None:
    pass


class Urls:
    """The URLs of a repository. Raises StoreUnavailable, also for an object that is damaged."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def of(self, reference: str | Digest) -> tuple[Url, ...]:
        """Those of a tag or a digest, ended ones too, the oldest first."""
        with contextlib.suppress(ObjectMissing):
            key = self._key(reference)
            return _read(await self._driver.get(key), key)
        return ()

    async def find(self, reference: str | Digest, url_id: str, now: float) -> tuple[Url, Witness] | None:
        """The one of that id while it counts, and what makes that true until it ends."""
        key = self._key(reference)
        with contextlib.suppress(ObjectMissing):
            held = await self._driver.get(key)
            for url in _read(held, key):
                if url.id == url_id and url.counts(now):
                    return url, Witness(key, held)
        return None

    async def give(
        self,
        reference: str | Digest,
        *,
        by: str,
        now: float,
        ends: float | None = None,
        made: Callable[[Url], object] = _ignored,
    ) -> Url:
        """A URL for `by`: the one that he has already, where neither ends; `made` hears of a new one.

        Raises Denied for one too many.
        """
        key = self._key(reference)
        while True:
            held, urls = await self._held(key)
            for url in urls:
                if url.by == by and url.ends is None and ends is None:
                    return url
            urls = tuple(url for url in urls if url.counts(now))
            if len(urls) >= MOST:
                raise Denied(
                    f"{self._repository} has {MOST} URLs of {reference} already.", fix="Revoke one of them."
                )
            url = Url(secrets.token_hex(8), by, int(now), None if ends is None else int(ends))
            if held is None:
                await self._must_have_room()
            if await self._put(key, held, (*urls, url)):
                made(url)
                return url

    async def revoke(self, reference: str | Digest, url_id: str | None = None) -> tuple[Url, ...]:
        """Take away the one of that id, or all of a reference; what was taken away."""
        key = self._key(reference)
        while True:
            held, urls = await self._held(key)
            gone = tuple(url for url in urls if url_id in (None, url.id))
            if not gone or await self._put(key, held, tuple(url for url in urls if url not in gone)):
                return gone

    async def _held(self, key: str) -> tuple[bytes | None, tuple[Url, ...]]:
        try:
            held = await self._driver.get(key)
        except ObjectMissing:
            return None, ()
        return held, _read(held, key)

    async def _put(self, key: str, held: bytes | None, urls: tuple[Url, ...]) -> bool:
        """Put these in the place of what was seen; whether it was still so."""
        data = _written(urls)
        with contextlib.suppress(ObjectExists, ObjectChanged):
            if held is None:
                await self._driver.create(key, data)
            elif urls:
                await self._driver.replace(key, data, held)
            else:
                return await self._driver.delete(key, expected=held)
            return True
        return False

    async def _must_have_room(self) -> None:
        folder = paths.urls(self._repository)
        if len((await self._driver.children(folder, limit=MOST_REFERENCES)).names) >= MOST_REFERENCES:
            raise Denied(
                f"{self._repository} has URLs of {MOST_REFERENCES} tags and digests already.",
                fix="Revoke those of some.",
            )

    def _key(self, reference: str | Digest) -> str:
        return paths.url(self._repository, str(reference))


async def every(driver: Driver) -> AsyncIterator[Of]:
    """Every URL of every repository, in no order; those of damaged objects do not count, and are left out."""
    async for entry in driver.walk(paths.URLS):
        repository, reference = paths.beside(entry.key)
        with contextlib.suppress(ObjectMissing):
            held = await driver.get(entry.key)
            for url in _read_if_whole(held, entry.key):
                yield Of(repository, reference, url)


def _written(urls: Iterable[Url]) -> bytes:
    said = [{"id": url.id, "by": url.by, "since": url.since, "ends": url.ends} for url in urls]
    return records.write({"urls": said})


def _read(data: bytes, key: str) -> tuple[Url, ...]:
    found: Any = records.read(data, key).get("urls")
    try:
        return tuple(_url(one) for one in found)
    except (KeyError, TypeError, ValueError):
        raise records.damaged(key) from None


def _read_if_whole(data: bytes, key: str) -> tuple[Url, ...]:
    with contextlib.suppress(StoreUnavailable):
        return _read(data, key)
    return ()


def _url(said: dict[str, Any]) -> Url:
    ends = said["ends"]
    return Url(str(said["id"]), str(said["by"]), float(said["since"]), None if ends is None else float(ends))
