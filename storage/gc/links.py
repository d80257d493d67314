"""Links of one repository: a blob that no manifest of it names is unlinked, rests, and then is lost to it.

First the link moves aside: a HEAD says 404 from then on, and a client sends the blob again. A manifest that
comes meanwhile, from one who was told that the blob is here, moves it back; so does this, looking again for
manifests that have come. What rested long enough goes to the trash.
"""

from __future__ import annotations

from storage import paths
from storage.digest import Digest
from storage.gc.job import Gone, Job
from storage.gc.manifests import Manifests

_NOT_NAMED = (
    "SELECT name, size FROM object WHERE repository = ? AND folder = 'blobs' AND modified < ?"
    " AND NOT EXISTS (SELECT 1 FROM named WHERE named.blob = object.name)"
)
_RESTING = (
    "SELECT name, modified,"
    " EXISTS (SELECT 1 FROM object AS link WHERE link.repository = object.repository"
    " AND link.folder = 'blobs' AND link.name = object.name),"
    " EXISTS (SELECT 1 FROM named WHERE named.blob = object.name)"
    " FROM object WHERE repository = ? AND folder = 'unlinked'"
)
_NAMED_AGAIN = "SELECT digest FROM unlinked WHERE EXISTS (SELECT 1 FROM named WHERE named.blob = digest)"
_MOVED = "UPDATE object SET folder = 'unlinked' WHERE repository = ? AND folder = 'blobs' AND name = ?"
_LOST = "DELETE FROM object WHERE repository = ? AND folder = ? AND name = ?"


class Links:
    """The links of the repository that the job's graph is about; its manifests have been read."""

    def __init__(self, job: Job, repository: str, manifests: Manifests) -> None:
        self._job = job
        self._marks = job.graph.marks
        self._repository = repository
        self._manifests = manifests

    async def collect(self) -> None:
        """Unlink what nothing names, and end what was unlinked long enough ago."""
        await self._end()
        if await self._unlink() and not self._job.dry:
            await self._manifests.look_again()
            await self._relink()

    async def _unlink(self) -> int:
        went = 0
        async for rows in self._marks.pages(_NOT_NAMED, self._repository, self._job.old):
            names = [name for name, _ in rows]
            taken = await self._job.all(self._repository, names, self._aside)
            for (name, size), is_gone in zip(rows, taken, strict=True):
                if is_gone:
                    went += 1
                    self._job.collected.links += 1
                    self._job.told(Gone("link", self._repository, name, size))
            gone = [name for name, is_gone in zip(names, taken, strict=True) if is_gone]
            await self._marks.add("INSERT OR IGNORE INTO unlinked VALUES (?)", [(name,) for name in gone])
            if self._job.dry:  # which tells of what follows too: as if these had rested already
                await self._marks.add(_LOST, [(self._repository, "blobs", name) for name in gone])
            else:
                # The name may be there from a run before, which this one is as good as.
                await self._marks.add(_LOST, [(self._repository, "unlinked", name) for name in gone])
                await self._marks.add(_MOVED, [(self._repository, name) for name in gone])
        return went

    async def _aside(self, name: str) -> bool:
        digest = Digest.parse(name)
        link = paths.blob_link(self._repository, digest)
        return await self._job.move(link, paths.unlinked(self._repository, digest), before=self._job.old)

    async def _relink(self) -> None:
        """Move back what a manifest names that came while it was unlinked."""
        async for rows in self._marks.pages(_NAMED_AGAIN):
            self._job.collected.restored += sum(
                await self._job.all(self._repository, [name for (name,) in rows], self._back)
            )

    async def _back(self, name: str) -> bool:
        digest = Digest.parse(name)
        link = paths.blob_link(self._repository, digest)
        return await self._job.move(paths.unlinked(self._repository, digest), link)

    async def _end(self) -> None:
        """Of what rests: move back what is named, drop what was linked again, end what rested long enough."""
        async for rows in self._marks.pages(_RESTING, self._repository):
            await self._job.all(self._repository, rows, self._end_one)

    async def _end_one(self, row: tuple[str, float, bool, bool]) -> None:
        name, modified, is_linked, is_named = row
        key = paths.unlinked(self._repository, Digest.parse(name))
        long_ago = self._job.began - self._job.waits.unlinked
        if is_named and not is_linked:
            self._job.collected.restored += await self._back(name)
            return
        if modified >= long_ago and not self._job.dry:
            return
        link = paths.blob_link(self._repository, Digest.parse(name))
        if await self._job.move(key, paths.trash(link), before=long_ago if not self._job.dry else None):
            await self._marks.execute(_LOST, self._repository, "unlinked", name)
