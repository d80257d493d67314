"""One repository: its manifests, and the doors to its blobs, tags, referrers and uploads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from storage import manifest as manifests
from storage import paths, records
from storage.blobs import Blobs
from storage.derived import Derived
from storage.digest import ALGORITHMS, Digest
from storage.driver import Driver, ObjectExists, ObjectMissing, Witness
from storage.errors import BlobUnknown, ManifestInvalid, ManifestUnknown, NameUnknown, StoreUnavailable
from storage.manifest import Descriptor, Manifest
from storage.names import quoted
from storage.referrers import Referrers
from storage.refusals import Refusals
from storage.tags import Tags
from storage.uploads import Uploads

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    descriptor: Descriptor
    body: bytes


class Repository:
    """The content that one name stands for. Nothing here looks into another repository."""

    def __init__(self, driver: Driver, name: str, uploads: Uploads) -> None:
        self.name = name
        self.blobs = Blobs(driver, name)
        self.tags = Tags(driver, name)
        self.referrers = Referrers(driver, name)
        self.derived = Derived(driver, name)
        self.refusals = Refusals(driver, name)
        self.uploads = uploads
        self._driver = driver

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
        key = paths.manifest_link(self.name, reference)
        try:
            record = await self._driver.get(key)
        except ObjectMissing:
            raise ManifestUnknown(f"{self.name} has no manifest {reference}.") from None
        return records.read_descriptor(record, key), Witness(key, record)

    async def written(self, witness: Witness) -> float:
        """When what `find` saw was written (Unix seconds, the store's clock); raises ManifestUnknown."""
        try:
            return (await self._driver.stat(witness.key)).modified
        except ObjectMissing:
            raise ManifestUnknown(f"{self.name}: {witness.key.rpartition('/')[2]} is gone.") from None

    async def get(self, reference: str | Digest) -> StoredManifest:
        """A manifest by tag or digest, its bytes held against its digest; raises ManifestUnknown."""
        descriptor, _ = await self.find(reference)
        try:
            body = await self._driver.get(paths.blob(descriptor.digest))
        except ObjectMissing:
            body = b""
        if Digest.of(body, descriptor.digest.algorithm) != descriptor.digest:
            raise StoreUnavailable(
                f"the stored bytes of {descriptor.digest} are damaged.",
                fix="Push the manifest again, or restore it from a backup.",
            )
        return StoredManifest(descriptor, body)

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

    def read(self, descriptor: Descriptor, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes `start` to `end` (exclusive; None: all) of a manifest that `find` has found."""
        return self._driver.read(paths.blob(descriptor.digest), start, end)

    async def missing(self, manifest: Manifest) -> list[Digest]:
        """The blobs and child manifests that a manifest names and this repository does not have.

        Raises ManifestInvalid when it names one with a wrong size, or a child as another type than it
        was pushed: clients trust what the descriptor says (go-containerregistry pkg/v1/remote).
        """
        named = (*manifest.blobs(), *manifest.manifests)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def stored(digest: Digest) -> tuple[int, str] | None:
            async with gate:
                with contextlib.suppress(BlobUnknown, ManifestUnknown):
                    if manifest.is_index:
                        child, _ = await self.find(digest)
                        return child.size, child.media_type
                    return (await self.blobs.find(digest)).size, ""
                return None

        digests = list(dict.fromkeys(item.digest for item in named))
        found = dict(zip(digests, await asyncio.gather(*map(stored, digests)), strict=True))
        for item in named:
            if (there := found[item.digest]) is not None:
                _refuse_other(item, *there)
        return [digest for digest in digests if found[digest] is None]

    async def put(self, manifest: Manifest, body: bytes, digest: Digest) -> Descriptor:
        """Store a manifest by its digest: bytes, then the referrer's row, then the link. Again is fine.

        This writes row and link and then looks for the row; `delete` removes link and row and then
        looks for the link: whichever comes last, a manifest that is here has its row.
        """
        descriptor = Descriptor(manifest.media_type, digest, len(body))
        await asyncio.gather(
            self._driver.put(paths.blob(digest), body),
            self._enter_catalog(),
            self._refer(manifest, descriptor),
        )
        await self._link(descriptor)
        if manifest.subject and not await self.referrers.has(manifest.subject.digest, digest):
            await self._refer(manifest, descriptor)
        return descriptor

    async def put_with_blobs(self, media_type: str, body: bytes, blobs: Sequence[bytes]) -> Descriptor:
        """Store a manifest without a subject and its small blobs in one go: bytes, links, its own link.

        It belongs to one that is put by itself, which enters the catalog. Again is fine.
        """
        descriptor = Descriptor(media_type, Digest.of(body), len(body))
        held = {Digest.of(blob): blob for blob in blobs}
        bytes_of = {paths.blob(digest): data for digest, data in held.items()}
        links = {
            paths.blob_link(self.name, digest): records.write_size(len(data)) for digest, data in held.items()
        }
        link = paths.manifest_link(self.name, descriptor.digest)
        await self._driver.put_in_order(
            (
                {**bytes_of, paths.blob(descriptor.digest): body},
                links,
                {link: records.write_descriptor(descriptor)},
            )
        )
        return descriptor

    async def restore(self, descriptor: Descriptor) -> None:
        """Make stored bytes a manifest of this repository; again is fine."""
        if await self._link(descriptor):
            await self._refer(_parsed(await self.get(descriptor.digest)), descriptor)

    async def tag(self, tag: str, descriptor: Descriptor) -> None:
        """Let a tag name a manifest that was put, also when the manifest is deleted at the same time.

        `delete` removes tags, link, tags; this writes the tag and then looks for the link: whichever
        comes last, a tag without its manifest does not remain.
        """
        await self.tags.put(tag, descriptor)
        try:
            await self.find(descriptor.digest)
        except ManifestUnknown:
            await self.restore(descriptor)

    async def delete(self, digest: Digest) -> None:
        """Remove a manifest, the tags that name it and its row as a referrer; raises ManifestUnknown."""
        stored = await self.get(digest)
        await self.tags.forget(digest)
        await self._driver.delete(paths.manifest_link(self.name, digest))
        await self.tags.forget(digest)
        await self.derived.forget(digest)
        manifest = _parsed(stored)
        if manifest.subject:
            await self.referrers.remove(manifest.subject.digest, digest)
            with contextlib.suppress(ManifestUnknown):
                await self.find(digest)
                await self._refer(manifest, stored.descriptor)

    async def _link(self, descriptor: Descriptor) -> bool:
        """Note that the manifest is here; whether that is new."""
        key = paths.manifest_link(self.name, descriptor.digest)
        try:
            await self._driver.create(key, records.write_descriptor(descriptor))
        except ObjectExists:
            return False
        return True

    async def _enter_catalog(self) -> None:
        with contextlib.suppress(ObjectExists):
            await self._driver.create(paths.catalog(self.name), b"")

    async def _refer(self, manifest: Manifest, descriptor: Descriptor) -> None:
        if manifest.subject:
            row = Descriptor(
                descriptor.media_type,
                descriptor.digest,
                descriptor.size,
                artifact_type=manifest.referrer_type,
                annotations=manifest.annotations,
            )
            await self.referrers.add(manifest.subject.digest, row)


def _parsed(stored: StoredManifest) -> Manifest:
    return manifests.parse(stored.body, stored.descriptor.media_type)


def _refuse_other(said: Descriptor, size: int, media_type: str) -> None:
    if said.size != size:
        raise ManifestInvalid(f"the manifest says that {said.digest} has {said.size} bytes; it has {size}.")
    if media_type not in ("", said.media_type):
        raise ManifestInvalid(
            f"the index says {quoted(said.media_type)} of {str(said.digest)[:19]}…, pushed as {media_type}."
        )
