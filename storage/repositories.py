"""One repository: its manifests, and the doors to its blobs, tags, referrers and uploads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from storage import kept, paths, records
from storage import manifest as manifests
from storage.blobs import Blobs
from storage.derived import Derived
from storage.digest import ALGORITHMS, Digest
from storage.driver import Driver, ObjectExists, ObjectMissing, Witness, nothing
from storage.errors import BlobUnknown, ManifestUnknown, NameUnknown, StoreUnavailable
from storage.formats import Current
from storage.manifest import Descriptor, Manifest
from storage.parents import Parents
from storage.referrers import Referrers, row
from storage.refusals import Refusals
from storage.tags import HISTORY, Tags
from storage.together import together
from storage.trash import Trash
from storage.uploads import Uploads

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    descriptor: Descriptor
    body: bytes

    @property
    def digest(self) -> Digest:
        """What it was pushed by."""
        return self.descriptor.digest

    def written(self) -> bytes:
        """The object that keeps it."""
        return records.enclose(records.write_descriptor(self.descriptor), self.body)


class Repository:
    """The content that one name stands for. Nothing here looks into another repository.

    `history` is for how many seconds its tags remember what they named; `current` says for which format it
    is written.
    """

    def __init__(
        self,
        driver: Driver,
        name: str,
        uploads: Uploads,
        *,
        history: float = HISTORY,
        current: Current | None = None,
    ) -> None:
        self.name = name
        self.blobs = Blobs(driver, name, current=current)
        self.tags = Tags(driver, name, history=history, current=current)
        self.referrers = Referrers(driver, name)
        self.parents = Parents(driver, name)
        self.derived = Derived(driver, name)
        self.refusals = Refusals(driver, name)
        self.uploads = uploads
        self.quota = uploads.quotas.asked(name)
        self._driver = driver
        self._current = current or Current(driver, is_ours=True)

    async def must_exist(self) -> None:
        """Raises NameUnknown when nothing was ever pushed to this name."""
        try:
            await self._driver.stat(paths.catalog(self.name))
        except ObjectMissing:
            raise NameUnknown(f"there is no repository {self.name}.") from None

    async def find(self, reference: str | Digest) -> tuple[Descriptor, Witness]:
        """What a tag or a digest names here, without its bytes; raises ManifestUnknown."""
        if isinstance(reference, str):
            return await self.tags.resolve(reference)
        key = paths.manifest(self.name, reference)
        record, _ = records.split(await self._object(reference))
        return records.read_descriptor(record, key), Witness(key, record)

    async def holds(self, witness: Witness) -> bool:
        """Whether what `find` saw of this repository is still so."""
        with contextlib.suppress(ObjectMissing):
            return (await self._driver.get(witness.key)).startswith(witness.content)
        return False

    async def written(self, witness: Witness) -> float:
        """When what `find` saw was written (Unix seconds, the store's clock); raises ManifestUnknown."""
        try:
            return (await self._driver.stat(witness.key)).modified
        except ObjectMissing:
            raise ManifestUnknown(f"{self.name}: {witness.key.rpartition('/')[2]} is gone.") from None

    async def get(self, reference: str | Digest) -> StoredManifest:
        """A manifest by tag or digest, its bytes held against its digest; raises ManifestUnknown."""
        digest = (await self.tags.resolve(reference))[0].digest if isinstance(reference, str) else reference
        key = paths.manifest(self.name, digest)
        try:
            found = await kept.load(self._driver, key, digest)
        except ObjectMissing:
            raise self._unknown(digest) from None
        if found.body is None or Digest.of(found.body, digest.algorithm) != digest:
            raise StoreUnavailable(
                f"the stored bytes of {digest} are damaged.",
                fix="Push the manifest again, or restore it from a backup.",
            )
        return StoredManifest(records.read_descriptor(found.record, key), found.body)

    async def digests(self, *, page: int = 1000) -> AsyncIterator[Digest]:
        """Every manifest that is here, in byte order of the digests, read `page` at a time.

        One that comes or goes meanwhile is among them or not; every other one is, once.
        """
        for algorithm in ALGORITHMS:
            after, more = "", True
            while more:
                found = await self._driver.children(
                    paths.manifests(self.name, algorithm), after=after, limit=page
                )
                for name in found.names:
                    yield Digest(algorithm, name)
                after, more = (found.names[-1] if found.names else after), found.more

    async def read(
        self, descriptor: Descriptor, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes `start` to `end` (exclusive; None: all) of a manifest that `find` has found.

        Raises ManifestUnknown at the first step when it has gone since.
        """
        before = len(records.enclose(records.write_descriptor(descriptor), b""))
        key = paths.manifest(self.name, descriptor.digest)
        is_empty = True
        try:
            async for piece in self._driver.read(key, before + start, None if end is None else before + end):
                is_empty = False
                yield piece
        except ObjectMissing:
            raise self._unknown(descriptor.digest) from None
        if is_empty and start != end:  # its bytes lie apart, as format 1 has them
            yield (await self.get(descriptor.digest)).body[start:end]

    async def missing(self, manifest: Manifest) -> list[Digest]:
        """The blobs and child manifests that a manifest names and this repository does not have.

        What garbage collection is taking away is brought back: clients were told that it is here.
        Raises ManifestInvalid when it names one with a wrong size, or a child as another type than it
        was pushed: clients trust what the descriptor says (go-containerregistry pkg/v1/remote).
        """
        named = (*manifest.blobs(), *manifest.manifests)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def stored(digest: Digest) -> tuple[int, str] | None:
            async with gate:
                with contextlib.suppress(BlobUnknown, ManifestUnknown):
                    if manifest.is_index:
                        child = await self._child(digest)
                        return child.size, child.media_type
                    return (await self.blobs.relink(digest)).size, ""
                return None

        digests = list(dict.fromkeys(item.digest for item in named))
        found = dict(zip(digests, await asyncio.gather(*map(stored, digests)), strict=True))
        for item in named:
            if (there := found[item.digest]) is not None:
                manifests.must_agree(item, *there)
        return [digest for digest in digests if found[digest] is None]

    @property
    def remote(self) -> bool:
        """Whether each look is a journey (`storage.driver.Driver`)."""
        return self._driver.remote

    async def put(self, manifest: Manifest, body: bytes, digest: Digest) -> StoredManifest:
        """Store a manifest by its digest, and hold what it names. Again is fine."""
        stored = await self.store(manifest, body, digest)
        await self.hold(manifest)
        return stored

    async def store(self, manifest: Manifest, body: bytes, digest: Digest) -> StoredManifest:
        """Store a manifest by its digest: the referrer's row, then the manifest. `hold` has to follow.

        This writes row and manifest and then looks for the row; `delete` removes manifest and row and
        then looks for the manifest: whichever comes last, a manifest that is here has its row.
        """
        stored = StoredManifest(Descriptor(manifest.media_type, digest, len(body)), body)
        await together(self._enter_catalog(), self._put(manifest, stored))
        return stored

    async def store_beside(self, media_type: str, body: bytes) -> StoredManifest:
        """Store a manifest without a subject that belongs to one which enters the catalog itself."""
        (stored,) = await self.store_all_beside(media_type, (body,), {})
        return stored

    async def store_all_beside(
        self, media_type: str, bodies: Sequence[bytes], first: Mapping[str, bytes]
    ) -> list[StoredManifest]:
        """Store the objects `first`, then manifests as `store_beside` does: in one step for all."""
        stored = [StoredManifest(Descriptor(media_type, Digest.of(body), len(body)), body) for body in bodies]
        await self._driver.put_in_order([first, *await self._steps(*stored)])
        return stored

    async def hold(self, manifest: Manifest) -> None:
        """Bring back what a manifest names, where garbage collection took it since it was looked for.

        Garbage collection takes it away, then looks for manifests: whichever comes last brings it back.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def hold(digest: Digest) -> None:
            async with gate:
                with contextlib.suppress(BlobUnknown, ManifestUnknown):  # deleted, or sparse
                    await (self._child(digest) if manifest.is_index else self.blobs.relink(digest))

        digests = dict.fromkeys(item.digest for item in (*manifest.blobs(), *manifest.manifests))
        await together(*map(hold, digests))

    async def tag(self, tag: str, stored: StoredManifest, *, by: str = "") -> None:
        """Let a tag name a manifest that was put, also when the manifest is deleted at the same time.

        `by` is who wants it.
        """
        await self.tags.put(tag, stored.descriptor, by=by)
        await self.stay(stored)

    def room(self, digest: Digest, size: int) -> AbstractAsyncContextManager[None]:
        """While a manifest of `size` bytes is stored: raises QuotaExceeded at its beginning."""
        return self.quota.adding(paths.manifest(self.name, digest), size)

    async def stay(self, stored: StoredManifest) -> bool:
        """Bring back a manifest that was deleted while a tag was moved to it; whether that was to be done.

        `delete` removes tags, manifest, tags; who moves a tag then looks for the manifest: whichever comes
        last, a tag without its manifest does not remain.
        """
        try:
            await self.find(stored.digest)
        except ManifestUnknown:
            await self.put(_parsed(stored), stored.body, stored.digest)
            return True
        return False

    async def delete(
        self,
        digest: Digest,
        spared: Callable[[str], bool] = lambda _: False,
        *,
        then: Callable[[], Awaitable[object]] = nothing,
    ) -> list[str]:
        """Remove a manifest, the tags that name it and its row as a referrer; raises ManifestUnknown.

        While a tag that is `spared` names it, it stays, and these tags are given back: also one that comes
        at the same time. What garbage collection may have kept of it earlier goes first: nothing brings back
        what was deleted. `then` is done when it is gone, before tags are looked for once more. Of a damaged
        manifest no subject is known; a row that it leaves is not listed.
        """
        stored = await self._whole(digest)
        if holding := await self.tags.forget(digest, spared):
            return holding
        await self._take(digest)
        await then()
        if (holding := await self.tags.forget(digest, spared)) and stored:
            await self.put(_parsed(stored), stored.body, digest)
            return holding
        await self._forget(digest, stored)
        return []

    async def remove(self, digest: Digest) -> None:
        """Remove a manifest as `delete` does, and leave the tags; raises ManifestUnknown."""
        stored = await self._whole(digest)
        await self._take(digest)
        await self._forget(digest, stored)

    async def _take(self, digest: Digest) -> None:
        """Remove a manifest, and first what garbage collection may have kept of it earlier."""
        key = paths.manifest(self.name, digest)
        await self._driver.delete(paths.trash(key))
        if not await self._driver.delete(key):  # it may be taken away at this very moment
            await self._driver.delete(paths.trash(key))

    async def _whole(self, digest: Digest) -> StoredManifest | None:
        """A manifest that is here; None where it is damaged."""
        with contextlib.suppress(StoreUnavailable):
            return await self.get(digest)
        return None

    async def _forget(self, digest: Digest, stored: StoredManifest | None) -> None:
        """Remove what is known of a manifest that was removed."""
        await self.derived.forget(digest)
        if stored and (subject := (manifest := _parsed(stored)).subject):
            await self.referrers.remove(subject.digest, digest)
            with contextlib.suppress(ManifestUnknown):
                await self.find(digest)
                await self._refer(manifest, stored.descriptor)

    async def _put(self, manifest: Manifest, stored: StoredManifest) -> None:
        await self._refer(manifest, stored.descriptor)
        await self._driver.put_in_order(await self._steps(stored))
        if manifest.subject and not await self.referrers.has(manifest.subject.digest, stored.digest):
            await self._refer(manifest, stored.descriptor)

    async def _steps(self, *stored: StoredManifest) -> list[dict[str, bytes]]:
        """What to write for manifests, in order: so that whichever release serves the store can read it."""
        keys = [paths.manifest(self.name, one.digest) for one in stored]
        if await self._current.is_ours():
            return [{key: one.written() for key, one in zip(keys, stored, strict=True)}]
        links = (records.write_descriptor(one.descriptor) for one in stored)
        return [{paths.blob(one.digest): one.body for one in stored}, dict(zip(keys, links, strict=True))]

    async def _child(self, digest: Digest) -> Descriptor:
        """A manifest that an index names, out of the trash where garbage collection took it away."""
        with contextlib.suppress(ManifestUnknown):
            return (await self.find(digest))[0]
        await Trash(self._driver, self.name).restore(digest)
        return (await self.find(digest))[0]

    async def _object(self, digest: Digest) -> bytes:
        try:
            return await self._driver.get(paths.manifest(self.name, digest))
        except ObjectMissing:
            raise self._unknown(digest) from None

    def _unknown(self, digest: Digest) -> ManifestUnknown:
        return ManifestUnknown(f"{self.name} has no manifest {digest}.")

    async def _enter_catalog(self) -> None:
        with contextlib.suppress(ObjectExists):
            await self._driver.create(paths.catalog(self.name), b"")

    async def _refer(self, manifest: Manifest, descriptor: Descriptor) -> None:
        if manifest.subject:
            await self.referrers.add(manifest.subject.digest, row(manifest, descriptor))


def _parsed(stored: StoredManifest) -> Manifest:
    return manifests.parse(stored.body, stored.descriptor.media_type)
