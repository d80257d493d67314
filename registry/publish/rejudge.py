"""Judging again: what the gate makes now of all that was ever taken in.

What was found is kept by digest and version of the rules, for every release that is known: to ask for
another release reads a record a manifest. Only what has no record of the rules of now is taken apart,
and its record is kept: who is interrupted goes on where he was. No content is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from registry.publish import plugins
from registry.publish.examiner import Examiner, keep
from registry.publish.plugins import Attachment, Found, Plugin
from registry.verdict import Verdict
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import (
    BlobUnknown,
    CheckFailed,
    ManifestInvalid,
    ManifestUnknown,
    StoreFull,
    StoreUnavailable,
)
from storage.repositories import Repository
from storage.store import Store

PAGE = 1000
"""Manifests, tags and repositories that are asked for at a time."""

TAGS = 20
"""Tags of an image that are named; of the others the number is."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Broken:
    """An image that would not load: `image` is what agents compare, `digests` are those that lead to it.

    An index that leads to no image stands for itself.

    `verdicts` are those that were asked for; `tags` name one of the digests, `more` of them are not listed.
    """

    repository: str
    image: Digest
    digests: tuple[Digest, ...]
    tags: tuple[str, ...]
    more: int
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A manifest that could not be judged: the store's copy is damaged, or the check itself failed."""

    repository: str
    digest: Digest
    why: str


@dataclass(slots=True)
class Counts:
    """How far it is: manifests `seen`, of them `anew` taken apart now, `absent` without all their parts."""

    repositories: int = 0
    seen: int = 0
    plugins: int = 0
    anew: int = 0
    absent: int = 0
    broken: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class _Open:
    """What of one repository is still to be told: images that would not load, damage, indexes to judge."""

    broken: dict[Digest, list[Digest]] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    indexes: list[Digest] = field(default_factory=list)


class Rejudge:
    """Goes through a store. `asked` picks, for a repository, the verdicts that matter out of all.

    `told` is called now and then with the repository's name and the counts so far.
    """

    def __init__(
        self,
        store: Store,
        examiner: Examiner,
        asked: Callable[[str, Sequence[Verdict]], tuple[Verdict, ...]],
        told: Callable[[str, Counts], None],
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._examiner = examiner
        self._asked = asked
        self._told = told

    async def run(self) -> AsyncIterator[Broken | Unreadable]:
        """What would break, repository by repository in byte order; raises StoreError."""
        after, more = "", True
        while more:
            page = await self._store.catalog(after=after, limit=PAGE)
            for name in page.names:
                async for found in self._of(self._store.repository(name)):
                    yield found
                self.counts.repositories += 1
            after, more = (page.names[-1] if page.names else after), page.more

    async def _of(self, repository: Repository) -> AsyncIterator[Broken | Unreadable]:
        still = _Open()
        batch: list[Digest] = []
        async for digest in repository.digests(page=PAGE):
            batch.append(digest)
            if len(batch) == _AT_ONCE:
                await self._judge(repository, batch, still)
                batch.clear()
        await self._judge(repository, batch, still)
        # An index is judged by its children, so those come first.
        indexes, still.indexes = still.indexes, []
        for digest in indexes:
            await self._noted(repository, digest, still, is_last=True)
        self._told(repository.name, self.counts)
        for damaged in still.unreadable:
            yield damaged
        async for broken in self._told_of(repository, still.broken):
            yield broken

    async def _judge(self, repository: Repository, batch: Sequence[Digest], still: _Open) -> None:
        await asyncio.gather(*(self._noted(repository, digest, still) for digest in batch))
        self._told(repository.name, self.counts)

    async def _noted(
        self, repository: Repository, digest: Digest, still: _Open, *, is_last: bool = False
    ) -> None:
        """Judge one manifest and note what there is to tell; an index is put off unless it `is_last`."""
        try:
            found = plugins.from_record(await repository.derived.find(digest))
            if found is None:
                descriptor, _ = await repository.find(digest)
                if not is_last and descriptor.media_type in manifests.INDEX_TYPES:
                    still.indexes.append(digest)
                    return
                found = await self._anew(repository, digest)
        except ManifestUnknown:  # deleted meanwhile
            return
        except StoreFull:
            raise
        except (StoreUnavailable, ManifestInvalid, CheckFailed) as damage:
            self.counts.seen += 1
            self.counts.unreadable += 1
            still.unreadable.append(Unreadable(repository.name, digest, damage.message))
            return
        self.counts.seen += 1
        if found is None:
            self.counts.absent += 1
        elif isinstance(found, Plugin):
            self.counts.plugins += 1
            if not all(verdict.ok for verdict in self._asked(repository.name, found.verdicts)):
                still.broken.setdefault(found.image or digest, []).append(digest)

    async def _anew(self, repository: Repository, digest: Digest) -> Found | None:
        """Take a manifest apart and keep what is found; None where a part of it is not here."""
        stored = await repository.get(digest)
        manifest = manifests.parse(stored.body, stored.descriptor.media_type)
        for child in dict.fromkeys(child.digest for child in manifest.manifests):
            await self._child(repository, child)
        try:
            found = await self._examiner.examine(repository, manifest, digest)
        except (BlobUnknown, ManifestUnknown):
            return None
        await keep(repository, digest, found)
        self.counts.anew += 1
        return found

    async def _child(self, repository: Repository, digest: Digest) -> None:
        if plugins.from_record(await repository.derived.find(digest)) is None:
            try:
                await self._anew(repository, digest)
            except ManifestUnknown:
                return

    async def _told_of(
        self, repository: Repository, broken: dict[Digest, list[Digest]]
    ) -> AsyncIterator[Broken]:
        tags, more = await _tags(repository, broken) if broken else ({}, {})
        # As a person looks for them: by tag, then what has none.
        for image in sorted(broken, key=lambda image: (not tags.get(image), tags.get(image), str(image))):
            found = plugins.from_record(await repository.derived.find(broken[image][0]))
            if found is None or isinstance(found, Attachment):  # deleted meanwhile
                continue
            self.counts.broken += 1
            yield Broken(
                repository.name,
                image,
                tuple(broken[image]),
                tuple(tags.get(image, ())),
                more.get(image, 0),
                self._asked(repository.name, found.verdicts),
            )


async def _tags(
    repository: Repository, broken: dict[Digest, list[Digest]]
) -> tuple[dict[Digest, list[str]], dict[Digest, int]]:
    """The first tags that lead to each image, in byte order, and how many more there are."""
    image_of = {digest: image for image, digests in broken.items() for digest in digests}
    tags: dict[Digest, list[str]] = {}
    more: dict[Digest, int] = {}
    after, is_more = "", True
    while is_more:
        page = await repository.tags.page(after=after, limit=PAGE)
        for start in range(0, len(page.names), _AT_ONCE):
            names = page.names[start : start + _AT_ONCE]
            for name, digest in zip(
                names, await asyncio.gather(*(_named(repository, name) for name in names)), strict=True
            ):
                image = image_of.get(digest) if digest else None
                if image is None:
                    continue
                if len(tags.setdefault(image, [])) < TAGS:
                    tags[image].append(name)
                else:
                    more[image] = more.get(image, 0) + 1
        after, is_more = (page.names[-1] if page.names else after), page.more
    return tags, more


async def _named(repository: Repository, tag: str) -> Digest | None:
    try:
        return (await repository.tags.resolve(tag))[0].digest
    except (ManifestUnknown, StoreUnavailable):  # deleted meanwhile, or damaged: it names nothing
        return None
