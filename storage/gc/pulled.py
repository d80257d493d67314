"""Who pulled what last: the records of manifests that are not here any more go after a while."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

from storage import paths
from storage.digest import Digest
from storage.driver import Entry, ObjectMissing
from storage.errors import DigestInvalid
from storage.gc.job import Job

_GONE = (
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)"
    " WHERE NOT EXISTS (SELECT 1 FROM object WHERE repository = json_extract(value, '$[0]')"
    " AND folder = 'manifests' AND name = json_extract(value, '$[1]'))"
)


class Pulled:
    """The records below `pulls/`. They are no content: nothing is counted or told of them."""

    def __init__(self, job: Job) -> None:
        self._job = job

    async def collect(self) -> None:
        """Remove those that are old and whose manifests no repository had when the run began, nor has now."""
        if self._job.dry:
            return
        async for entries in self._job.walk(paths.PULLS):
            gone = await self._job.graph.marks.some(_GONE, json.dumps(self._old(entries)))
            await self._job.all("pulls", gone, self._remove)

    def _old(self, entries: Sequence[Entry]) -> list[tuple[str, str]]:
        made_of = (paths.pulled(entry.key) for entry in entries if entry.modified < self._job.old)
        return [found for found in made_of if found is not None]

    async def _remove(self, row: tuple[str, str]) -> None:
        repository, digest = row
        with contextlib.suppress(DigestInvalid):  # what lies there by mistake is for a check of the store
            try:
                await self._job.driver.stat(paths.manifest(repository, Digest.parse(digest)))
            except ObjectMissing:
                await self._job.driver.delete(paths.pulls(repository, digest))
