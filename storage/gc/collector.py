"""A run of garbage collection: every repository, then the bytes that they share, then the trash.

It works beside servers that write, and beside another run: each step looks at what is there, and a run that
ended in the middle is gone on with by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from storage import formats, paths
from storage.driver import Driver
from storage.gc.contents import Contents
from storage.gc.graph import SCHEMA, Graph
from storage.gc.job import Collected, Gone, Job, Waits
from storage.gc.links import Links
from storage.gc.manifests import Damaged, Manifests
from storage.gc.marks import Marks
from storage.gc.pulled import Pulled
from storage.gc.retention import Keep
from storage.tags import HISTORY

PAUSE = 0.01
"""Seconds between two batches of calls, in which requests have their turn."""


def _ignored(*_: object) -> None:
    pass


class Collector:
    """Collects what nobody names in a store.

    `keep_of` is the rule of retention for a repository: without one all its manifests stay. `history` is for
    how many seconds a tag keeps what it named. `folder` is for the temporary file. `told` hears of all that
    goes, `shown` how far it is.
    """

    def __init__(
        self,
        driver: Driver,
        keep_of: Callable[[str], Keep | None],
        *,
        history: float = HISTORY,
        waits: Waits | None = None,
        folder: Path | None = None,
        pause: float = PAUSE,
        told: Callable[[Gone], None] = _ignored,
        shown: Callable[[str, int], None] = _ignored,
    ) -> None:
        self._driver = driver
        self._keep_of = keep_of
        self._history = history
        self._waits = waits or Waits()
        self._folder = folder
        self._pause = pause
        self._told = told
        self._shown = shown

    async def run(self, *, dry: bool = False) -> Collected:
        """Collect, or say what would go (`dry`), by and by all of it; raises StoreError.

        Not beside an older release, which does not know that what it names may be on its way out.
        To cancel it loses nothing: what it has moved is moved, whole.
        """
        await formats.must_be_settled(self._driver)
        async with Marks(SCHEMA, self._folder) as marks:
            job = Job(
                driver=self._driver,
                graph=Graph(marks),
                began=time.time(),
                waits=self._waits,
                dry=dry,
                pause=self._pause,
                told=self._told,
                shown=self._shown,
            )
            async for entries in job.walk(paths.REPOSITORIES):
                await job.graph.note_objects(entries)
            async for rows in marks.pages("SELECT DISTINCT repository FROM object"):
                for (repository,) in rows:
                    await self._repository(job, repository)
            await Pulled(job).collect()
            contents = Contents(job)
            await contents.collect()
            await contents.purge()
            return job.collected

    async def _repository(self, job: Job, name: str) -> None:
        await job.graph.begin()
        manifests = Manifests(job, name, self._keep_of(name), history=self._history)
        try:
            await manifests.read()
            await manifests.tidy()
            await manifests.retire()
            await Links(job, name, manifests).collect()
        except Damaged:
            job.collected.damaged.append(name)
        job.collected.repositories += 1
