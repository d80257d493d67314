"""Referrers of one repository: which manifests name another as their subject.

A row is written before its manifest is linked and removed after it is unlinked, and a listing shows
only rows whose manifest is there: no row ever dangles, and none is missing.
"""

from __future__ import annotations

import asyncio
import contextlib

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing, nothing
from storage.errors import DigestInvalid
from storage.manifest import Descriptor, Manifest
from storage.together import together

PAGE = 1000
PAGE_BYTES = 4 << 20
_AT_ONCE = 16  # rows hold annotations, up to a manifest's size each


def row(manifest: Manifest, descriptor: Descriptor) -> Descriptor:
    """What is noted of a manifest that refers to another: its descriptor, and what a listing says of it."""
    return Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size,
        artifact_type=manifest.referrer_type,
        annotations=manifest.annotations,
    )


class Referrers:
    """Edges from a subject to what refers to it."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def add(self, subject: Digest, descriptor: Descriptor) -> None:
        """Note that `descriptor`'s manifest refers to `subject`, which need not be here."""
        ((key, written),) = self.written(subject, descriptor).items()
        await self._driver.put(key, written)

    def written(self, subject: Digest, descriptor: Descriptor) -> dict[str, bytes]:
        """What `add` writes: a key and its object."""
        key = paths.referrer(self._repository, subject, descriptor.digest)
        return {key: records.write_descriptor(descriptor)}

    async def has(self, subject: Digest, digest: Digest) -> bool:
        """Whether it is noted that `digest` refers to `subject`."""
        with contextlib.suppress(ObjectMissing):
            await self._driver.stat(paths.referrer(self._repository, subject, digest))
            return True
        return False

    async def remove(self, subject: Digest, digest: Digest) -> None:
        """Forget that `digest` refers to `subject`."""
        await self._driver.delete(paths.referrer(self._repository, subject, digest))

    async def noted(self, subject: Digest) -> set[str]:
        """The digests of which it is noted that they refer to `subject`, PAGE of them at most."""
        return set(
            (await self._driver.children(paths.referrers(self._repository, subject), limit=PAGE)).names
        )

    async def page(
        self, subject: Digest, *, after: str = "", looks: bool = True
    ) -> tuple[list[Descriptor], str]:
        """Referrers in order of their digests, and where the next page goes on ("": no more).

        A page has up to PAGE of them, and ends earlier where they come to PAGE_BYTES. Without `looks` their
        manifests may not be here: for who reads these next.
        """
        folder = paths.referrers(self._repository, subject)
        page = await self._driver.children(folder, after=after, limit=PAGE)
        found: list[Descriptor] = []
        taken = 0
        for at in range(0, len(page.names), _AT_ONCE):
            batch = page.names[at : at + _AT_ONCE]
            records_there = await asyncio.gather(*(self._record(folder, name, looks) for name in batch))
            for name, record in zip(batch, records_there, strict=True):
                if record is None:
                    continue
                if found and taken + len(record) > PAGE_BYTES:
                    return found, str(found[-1].digest)
                found.append(records.read_descriptor(record, f"{folder}/{name}"))
                taken += len(record)
        return found, page.names[-1] if page.more else ""

    async def _record(self, folder: str, name: str, looks: bool) -> bytes | None:
        """The row of the manifest of that digest, where that is here: both are looked at at once."""
        with contextlib.suppress(ObjectMissing, DigestInvalid):
            manifest = paths.manifest(self._repository, Digest.parse(name))
            look = self._driver.stat(manifest) if looks else nothing()
            record, _ = await together(self._driver.get(f"{folder}/{name}"), look)
            found: bytes = record
            return found
        return None
