"""Who pulled what last: of each manifest of a repository a small record; bounded in every way.

Records are a help, never the truth: nothing is kept or taken away for what they say, and any may be missing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import StoreUnavailable

MOST = 50
"""How many pulls a record has at most, the newest of each who and agent."""
MOST_AGENTS = 8
"""Of one who, with how many agents."""
AGENT = 200
"""How long an agent's name is at most."""


@dataclass(frozen=True, slots=True)
class Pull:
    """The last pull by somebody with an agent, and when (Unix seconds); `by` is "" for who had no login."""

    by: str
    agent: str
    at: int


class Pulls:
    """The pulls of a repository. Raises StoreUnavailable; what is damaged counts as nothing."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def of(self, digest: Digest) -> tuple[Pull, ...]:
        """The last pulls of a manifest, the newest first."""
        with contextlib.suppress(ObjectMissing):
            return _read(await self._driver.get(self._key(digest)))
        return ()

    async def note(self, digest: Digest, pulls: Iterable[Pull]) -> None:
        """Add pulls to those of a manifest, others may do so at the same time; again is fine."""
        key, new = self._key(digest), tuple(pulls)
        while True:
            held: bytes | None = None
            with contextlib.suppress(ObjectMissing):
                held = await self._driver.get(key)
            data = _written(merged(new if held is None else (*_read(held), *new)))
            with contextlib.suppress(ObjectExists, ObjectChanged):
                if held is None:
                    await self._driver.create(key, data)
                elif data != held:
                    await self._driver.replace(key, data, held)
                return

    def _key(self, digest: Digest) -> str:
        return paths.pulls(self._repository, str(digest))


def merged(pulls: Iterable[Pull]) -> tuple[Pull, ...]:
    """The newest pull of each who and agent, the newest first, as many as are kept."""
    newest: dict[tuple[str, str], Pull] = {}
    for pull in pulls:
        known = newest.get((pull.by, pull.agent))
        if known is None or known.at < pull.at:
            newest[pull.by, pull.agent] = pull
    agents: Counter[str] = Counter()
    kept = []
    for pull in sorted(newest.values(), key=lambda one: (-one.at, one.by, one.agent)):
        agents[pull.by] += 1
        if agents[pull.by] <= MOST_AGENTS:
            kept.append(pull)
    return tuple(kept[:MOST])


def _written(pulls: Iterable[Pull]) -> bytes:
    return records.write(
        {"pulls": [{"by": pull.by, "agent": pull.agent[:AGENT], "at": pull.at} for pull in pulls]}
    )


def _read(data: bytes) -> tuple[Pull, ...]:
    try:
        found: Any = records.read(data, "").get("pulls")
        return tuple(Pull(str(one["by"]), str(one["agent"]), int(one["at"])) for one in found)
    except (StoreUnavailable, KeyError, TypeError, ValueError):
        return ()
