"""Contents: bytes that repositories share go when none has them; and what rested in the trash is purged.

Whoever links bytes has seen them, or brought them: this moves those to the trash that nobody links, and then
looks for links again. What is linked and lies in the trash is put back, here and whenever it is read.
"""

from __future__ import annotations

import contextlib
import json

from storage import paths
from storage.digest import Digest
from storage.driver import Entry, ObjectMissing
from storage.gc.graph import blob_name
from storage.gc.job import Gone, Job


class Contents:
    """The bytes under `blobs/` and all in the trash; of every repository it is known what it links."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._marks = job.graph.marks

    async def collect(self) -> None:
        """Take away the bytes that no repository has and no derived record names."""
        async for entries in self._job.walk(paths.CONTENT):
            await self._marks.add(
                "INSERT OR REPLACE INTO content (name, size, modified) VALUES (?, ?, ?)",
                [(name, entry.size, entry.modified) for entry in entries if (name := blob_name(entry.key))],
            )
        went = 0
        async for rows in self._marks.pages(
            "SELECT name, size FROM content WHERE modified < ?"
            " AND NOT EXISTS (SELECT 1 FROM linked WHERE linked.name = content.name)"
            " AND substr(name, 8) NOT IN (SELECT hex FROM derived)",
            self._job.old,
        ):
            went += await self._take(rows)
        if went and not self._job.dry:
            await self._look_again()

    async def purge(self) -> None:
        """Put back from the trash what is linked and missing; remove for good what rested long enough."""
        async for entries in self._job.walk(paths.TRASH):
            rows = [(entry.key, entry.size, entry.modified) for entry in entries]
            await self._marks.add("INSERT OR REPLACE INTO resting VALUES (?, ?, ?)", rows)
        async for rows in self._marks.pages("SELECT key, size, modified FROM resting"):
            left = await self._put_back([Entry(*row) for row in rows])
            await self._job.all("trash", left, self._purge)

    async def _take(self, rows: list[tuple[str, int]]) -> int:
        async def take(row: tuple[str, int]) -> bool:
            return await self._job.take(paths.blob(Digest.parse(row[0])), before=self._job.old)

        taken = await self._job.all("contents", rows, take)
        gone = [row for row, is_gone in zip(rows, taken, strict=True) if is_gone]
        await self._marks.add("UPDATE content SET gone = 1 WHERE name = ?", [(name,) for name, _ in gone])
        for name, size in gone:
            self._job.collected.contents += 1
            self._job.collected.content_bytes += size
            self._job.told(Gone("content", "", name, size))
        return len(gone)

    async def _look_again(self) -> None:
        async for entries in self._job.walk(paths.REPOSITORIES):
            rows = [row for entry in entries if (row := self._job.graph.row(entry))]
            linked = [name for _, folder, name, *_ in rows if folder in ("blobs", "unlinked")]
            wanted = await self._marks.some(
                "SELECT name FROM content WHERE gone AND name IN (SELECT value FROM json_each(?))",
                json.dumps(linked),
            )
            await self._job.all("contents", [name for (name,) in wanted], self._back)

    async def _put_back(self, entries: list[Entry]) -> list[Entry]:
        """Put back bytes that are linked and not in their place; the others."""
        by_name = {name: entry for entry in entries if (name := blob_name(paths.trashed(entry.key)))}
        wanted = await self._marks.some(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM linked WHERE linked.name = value)"
            " AND NOT EXISTS (SELECT 1 FROM content WHERE content.name = value AND NOT gone)",
            json.dumps(list(by_name)),
        )
        names = [name for (name,) in wanted]
        await self._job.all("trash", names, self._back)
        back = {by_name[name].key for name in names}
        return [entry for entry in entries if entry.key not in back]

    async def _back(self, name: str) -> None:
        key = paths.blob(Digest.parse(name))
        # What is there is as good: it was brought again.
        with contextlib.suppress(ObjectMissing):
            await self._job.driver.stat(key)
            return
        if await self._job.move(paths.trash(key), key):
            self._job.collected.restored += 1

    async def _purge(self, entry: Entry) -> None:
        long_ago = self._job.began - self._job.waits.trash
        if entry.modified >= long_ago:
            return
        with contextlib.suppress(ObjectMissing):
            # Looked at once more: nothing brings back what goes now.
            found = await self._job.driver.stat(entry.key)
            if found.modified >= long_ago:
                return
            if self._job.dry or await self._job.driver.delete(entry.key):
                self._job.collected.purged += 1
                self._job.collected.purged_bytes += found.size
                self._job.told(Gone("trash", "", entry.key, found.size))
