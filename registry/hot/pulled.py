"""Pulls as they come, in memory: noted with one entry of a dict, kept by a chore now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from itertools import islice

from registry.hot.cache import EVERYBODY
from storage.digest import Digest
from storage.pulls import AGENT, Pull, merged
from storage.store import Store

MOST = 10_000
"""Pulls that are noted at a time; beyond these agents are not told apart."""

_MOST_AT_ONCE = 500  # manifests whose pulls are kept in one go
_SIDE_BY_SIDE = 8
_UNKNOWN = b""

Key = tuple[str, str, bytes]
"""What was pulled, for which audience, with which agent."""


def what(repository: str, digest: Digest, url_id: str = "") -> str:
    """A manifest of a repository as what is pulled, by a URL that needs no login if it was one."""
    return f"{repository}@{digest} {url_id}"


class Pulled:
    """The last pulls that nobody has kept yet, of one process; times are those of its event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._noted: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, pulled: str, audience: str, agent: bytes, at: float) -> None:
        """Somebody pulled `what` now: a name, or an audience that begins with it."""
        key = pulled, audience, agent
        if key not in self._noted and len(self._noted) >= self._most:
            key = pulled, audience, _UNKNOWN
            if key not in self._noted and len(self._noted) >= 2 * self._most:
                return
        self._noted[key] = at

    def of(self, repository: str, digest: Digest) -> tuple[Pull, ...]:
        """The last pulls of a manifest that are noted here, the newest first."""
        prefix = what(repository, digest)
        now, wall = _now(), time.time()
        return merged(
            _pull(key, wall - (now - at)) for key, at in self._noted.items() if key[0].startswith(prefix)
        )

    async def keep(self, store: Store) -> None:
        """Let the store have what is noted, or the first of it where it is much; what fails stays noted."""
        now, wall = _now(), time.time()
        found: dict[str, list[Key]] = {}
        for key in self._noted:
            found.setdefault(key[0].partition(" ")[0], []).append(key)
        gate = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def keep(place: str, keys: list[Key]) -> None:
            repository, _, digest = place.partition("@")
            times = {key: self._noted[key] for key in keys}
            pulls = (_pull(key, wall - (now - at)) for key, at in times.items())
            async with gate:
                await store.pulls(repository).note(Digest.parse(digest), pulls)
            for key, at in times.items():
                if self._noted.get(key) == at:  # nobody has pulled it again meanwhile
                    del self._noted[key]

        tasks = (keep(place, keys) for place, keys in islice(found.items(), _MOST_AT_ONCE))
        _raise_first(await asyncio.gather(*tasks, return_exceptions=True))


def _pull(key: Key, at: float) -> Pull:
    pulled, audience, agent = key
    url_id = pulled.partition(" ")[2]
    by = f"url:{url_id}" if url_id else "" if audience == EVERYBODY else audience.partition(" ")[0]
    return Pull(by, _text(agent), int(at))


def _text(agent: bytes) -> str:
    said = agent[:AGENT].decode("latin-1")
    return "".join(letter if letter.isprintable() else "?" for letter in said)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _raise_first(results: Iterable[BaseException | None]) -> None:
    for result in results:
        if result is not None:
            raise result
