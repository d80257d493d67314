"""Manifests and tags of one repository: read, reached from the roots, taken away by its rule of retention.

A push writes its tag and then looks for the manifest, an index and then looks for its children; this moves
manifests to the trash, then looks for tags and indexes that have come: whichever comes last, nothing that
is named is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from storage import kept, paths, records, tags
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import ObjectMissing
from storage.errors import ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.gc.graph import Read
from storage.gc.job import Gone, Job
from storage.gc.marks import Row
from storage.gc.retention import Expiry, Keep
from storage.kept import Kept
from storage.tags import History
from storage.trash import Trash

_IN_A_THREAD = 64 << 10

_KNOWN_MANIFESTS = (
    "SELECT digest, modified FROM manifest WHERE NOT gone AND digest IN (SELECT value FROM json_each(?))"
)
_HERE = (
    "SELECT name FROM object WHERE repository = ? AND folder = 'manifests'"
    " AND name IN (SELECT value FROM json_each(?))"
)
_KNOWN_TAGS = "SELECT name, modified FROM tag WHERE NOT gone AND name IN (SELECT value FROM json_each(?))"
_AWAY = (
    "SELECT target FROM tag WHERE stem IS NULL OR stem IN (SELECT stem FROM manifest)"
    " UNION SELECT target FROM edge EXCEPT SELECT digest FROM manifest"
)

T = TypeVar("T")
R = TypeVar("R")


class Damaged(Exception):
    """What a repository names cannot be known."""


class Manifests:
    """The manifests of the repository that the job's graph is about. `history`: as `storage.tags` has it."""

    def __init__(self, job: Job, repository: str, keep: Keep | None, *, history: float) -> None:
        self._job = job
        self._graph = job.graph
        self._repository = repository
        self._keep = keep
        self._history = history
        self._trash = Trash(job.driver, repository)
        grace = job.waits.grace
        self._before = job.began - (keep.least_age(grace) if keep else grace)

    async def read(self) -> None:
        """Note all manifests, and the tags where they matter; raises Damaged."""
        async for rows in self._objects("derived"):
            await self._all(rows, self._derived)
        async for rows in self._objects("manifests"):
            found = await self._all(rows, self._manifest)
            await self._graph.note_manifests([one for one in found if one])
        if self._keep:
            async for rows in self._objects("tags"):
                tagged = await self._all(rows, self._tag)
                await self._note_tags([one for one in tagged if one])

    async def retire(self) -> None:
        """Take away what the rule of the repository lets go, each manifest with its signatures."""
        if not self._keep:
            return
        if not self._job.dry:
            await self._mend()
        went = await self._expire(self._keep)
        await self._reach()
        # Each time what is attached to what went: its tag, then what that named, then what is attached to it.
        while step := await self._take_dead() + await self._take_attached():
            went += step
        if went and not self._job.dry:
            await self.look_again()

    async def tidy(self) -> None:
        """Take away what was known of manifests that are not here: they went with a process that ended."""
        for folder in ("referrers", "parents", "derived"):
            async for rows in self._objects(folder):
                here = await self._graph.marks.some(
                    _HERE, self._repository, json.dumps([_manifest_of(name) for name, *_ in rows])
                )
                known = {name for (name,) in here}
                alone = [
                    paths.derived(self._repository, Digest.parse(name))
                    if folder == "derived"
                    else f"{paths.repository_folder(self._repository, folder)}/{name}"
                    for name, *_ in rows
                    if _manifest_of(name) not in known
                ]
                await self._all(alone, lambda key: self._job.take(key, before=self._job.old))

    async def look_again(self) -> None:
        """Note what has come since, and bring back what it leads to."""
        async for rows in self._come("manifests", _KNOWN_MANIFESTS):
            await self._graph.note_manifests([one for one in await self._all(rows, self._manifest) if one])
        if not self._keep:
            return
        async for rows in self._come("tags", _KNOWN_TAGS):
            await self._note_tags([one for one in await self._all(rows, self._tag) if one])
        await self._reach()
        async for rows in self._graph.marks.pages(
            "SELECT digest FROM manifest WHERE gone AND digest IN (SELECT digest FROM alive)"
        ):
            for (digest,) in rows:
                await self._restore(Digest.parse(digest))
        async for rows in self._graph.marks.pages(
            "SELECT name FROM tag WHERE gone AND stem IN (SELECT stem FROM manifest WHERE NOT gone)"
        ):
            for (name,) in rows:
                await self._restore(name)

    async def _mend(self) -> None:
        """Bring back what is named and away: a run took it, and ended before it looked again."""
        async for rows in self._graph.marks.pages(_AWAY):
            for (digest,) in rows:
                with contextlib.suppress(ManifestUnknown):  # pushed since, or deleted: it is not in the trash
                    restored = await self._trash.restore(Digest.parse(digest))
                    self._job.collected.restored += len(restored.manifests)
                    back = [(str(one), 0, self._job.began) for one in restored.manifests]
                    found = [one for one in await self._all(back, self._manifest) if one]
                    await self._graph.note_manifests(found)

    async def _expire(self, keep: Keep) -> int:
        """Take away tags by the rule; how many went."""
        expiry, went = Expiry(keep, self._before), 0
        async for rows in self._graph.marks.pages(
            "SELECT name, modified FROM tag WHERE stem IS NULL ORDER BY modified DESC, name"
        ):
            names = [name for name, modified in rows if expiry.goes(name, modified)]
            went += await self._take_tags(names)
        return went

    async def _take_tags(self, names: Sequence[str]) -> int:
        async def take(name: str) -> bool:
            return await self._job.take(paths.tag(self._repository, name), before=self._before)

        taken = await self._job.all(self._repository, names, take)
        gone = [name for name, went in zip(names, taken, strict=True) if went]
        await self._graph.marks.add("UPDATE tag SET gone = 1 WHERE name = ?", [(name,) for name in gone])
        for name in gone:
            self._job.collected.tags += 1
            self._job.told(Gone("tag", self._repository, name, 0))
        return len(gone)

    async def _reach(self) -> None:
        assert self._keep
        await self._graph.reach(sorted(self._keep.digests), self._before)

    async def _take_dead(self) -> int:
        went = 0
        async for rows in self._graph.marks.pages(
            "SELECT digest, size, subject FROM manifest"
            " WHERE NOT gone AND digest NOT IN (SELECT digest FROM alive)"
            " AND digest NOT IN (SELECT target FROM tag WHERE NOT gone)"
        ):
            taken = await self._all(rows, self._take)
            gone = [row for row, is_gone in zip(rows, taken, strict=True) if is_gone]
            await self._graph.marks.add(
                "UPDATE manifest SET gone = 1 WHERE digest = ?", [(digest,) for digest, _, _ in gone]
            )
            for digest, size, _ in gone:
                self._job.collected.manifests += 1
                self._job.collected.manifest_bytes += size
                self._job.told(Gone("manifest", self._repository, digest, size))
            went += len(gone)
        return went

    async def _take(self, row: Row) -> bool:
        """Take a manifest away, then what is known of it: in the order in which `Repository.delete` does."""
        digest, subject = Digest.parse(row[0]), row[2]
        key = paths.manifest(self._repository, digest)
        if not await self._job.take(key, before=self._before):
            return False
        if not self._job.dry:
            await self._job.move(derived := paths.derived(self._repository, digest), paths.trash(derived))
            if subject:
                await self._take_row(paths.referrer(self._repository, Digest.parse(subject), digest), key)
        return True

    async def _take_row(self, row: str, key: str) -> None:
        # As `put` looks for its row, this looks for the manifest: whichever comes last, they are together.
        await self._job.move(row, paths.trash(row))
        try:
            await self._job.driver.stat(key)
        except ObjectMissing:
            return
        await self._job.move(paths.trash(row), row)

    async def _take_attached(self) -> int:
        """Take away the tags of what belonged to manifests that are gone."""
        went = 0
        async for rows in self._graph.marks.pages(
            "SELECT name FROM tag WHERE stem IS NOT NULL AND NOT gone AND modified < ? AND NOT EXISTS"
            " (SELECT 1 FROM manifest WHERE manifest.stem = tag.stem AND NOT manifest.gone)"
            " AND target NOT IN (SELECT digest FROM alive)",
            self._before,
        ):
            went += await self._take_tags([name for (name,) in rows])
        return went

    async def _restore(self, reference: str | Digest) -> None:
        try:
            restored = await self._trash.restore(reference)
        except ManifestUnknown:  # by whom it was put back or deleted, has said what it is
            return
        back = [reference, *restored.manifests] if isinstance(reference, Digest) else restored.manifests
        await self._graph.marks.add(
            "UPDATE manifest SET gone = 0 WHERE digest = ?", [(str(digest),) for digest in back]
        )
        self._job.collected.restored += 1

    async def _all(self, rows: Sequence[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
        return await self._job.all(self._repository, rows, do)

    def _objects(self, folder: str) -> AsyncIterator[list[Row]]:
        return self._graph.marks.pages(
            "SELECT name, size, modified FROM object WHERE repository = ? AND folder = ?",
            self._repository,
            folder,
        )

    async def _come(self, folder: str, known_by: str) -> AsyncIterator[list[Row]]:
        """What is in a folder of the repository and was not when it was read, or was another one."""
        async for entries in self._job.walk(paths.repository_folder(self._repository, folder)):
            rows = [row for entry in entries if (row := self._graph.row(entry))]
            names = json.dumps([row[2] for row in rows])
            known: dict[str, float] = dict(await self._graph.marks.some(known_by, names))
            yield [row[2:] for row in rows if known.get(row[2]) != row[4]]

    async def _note_tags(self, found: Sequence[tuple[str, float, History]]) -> None:
        await self._graph.note_tags(found, self._job.began - self._history)

    async def _manifest(self, row: Row) -> Read | None:
        """What a manifest says; None where it has gone meanwhile."""
        digest = Digest.parse(row[0])
        key = paths.manifest(self._repository, digest)
        try:
            found = await kept.load(self._job.driver, key, digest)
        except ObjectMissing:
            return None
        if found.apart and not self._job.dry:  # a server wrote it so while the store was migrated
            await kept.enclose(self._job.driver, key, digest)
        if len(found.body or b"") < _IN_A_THREAD:
            return _read(digest, key, found, row[2])
        return await asyncio.to_thread(_read, digest, key, found, row[2])

    async def _tag(self, row: Row) -> tuple[str, float, History] | None:
        key = paths.tag(self._repository, row[0])
        try:
            held = await self._job.driver.get(key)
        except ObjectMissing:
            return None
        try:
            return row[0], row[2], tags.read(held, key)
        except StoreUnavailable as damage:
            raise Damaged(damage.message) from None

    async def _derived(self, row: Row) -> None:
        try:
            held = await self._job.driver.get(paths.derived(self._repository, Digest.parse(row[0])))
        except ObjectMissing:
            return
        # Whatever looks like a digest: what a record says is the business of those who keep it.
        await self._graph.note_derived(list(records.digests_in(held)))


def _manifest_of(name: str) -> str:
    """The manifest that a derived record, or the row of a referrer or an index, is of."""
    return name.rpartition("/")[2]


def _read(digest: Digest, key: str, found: Kept, modified: float) -> Read:
    body = found.body
    try:
        descriptor = records.read_descriptor(found.record, key)
        if body is None or Digest.of(body, digest.algorithm) != digest:
            raise Damaged(f"{key} does not hold its manifest")
        size = len(records.enclose(found.record, body))
        return Read(digest, size, modified, manifests.parse(body, descriptor.media_type))
    except (StoreUnavailable, ManifestInvalid) as damage:
        raise Damaged(damage.message) from None
