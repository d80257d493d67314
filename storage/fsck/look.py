"""Looking at one object of a store as it is now: what is wrong with it.

Every look asks the store anew, so it may be repeated at any time, and it is repeated before something
counts as wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from storage import kept, paths, records, referrers, tags
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import Driver, ObjectMissing
from storage.errors import ManifestInvalid, StoreUnavailable
from storage.fsck import keys
from storage.fsck.finding import Finding, Kind
from storage.fsck.hashing import Hashing
from storage.manifest import Descriptor, Manifest

_AT_ONCE = 32
_SHOWN = 3


class Looker:
    """Looks at objects by their keys.

    `sparse` says of a repository whether its manifests may name what is not here.
    """

    def __init__(self, driver: Driver, hashing: Hashing, sparse: Callable[[str], bool]) -> None:
        self._driver = driver
        self._hashing = hashing
        self._sparse = sparse

    async def look(self, key: str) -> list[Finding]:
        """What is wrong with the object under a key, if there is one; raises StoreError."""
        try:
            return await self._look(key)
        except ObjectMissing:  # it went while it was looked at
            return []

    async def _look(self, key: str) -> list[Finding]:
        match keys.read(key):
            case None:
                await self._driver.stat(key)
                return [Finding(Kind.STRAY, key, "nothing of the registry has such a name")]
            case keys.Bytes(digest):
                return await self._bytes(key, digest)
            case keys.Link(_, digest, False):
                return await self._link(key, digest)
            case keys.ManifestAt() as place:
                return await self._manifest(key, place)
            case keys.Tag() as place:
                return await self._tag(key, place)
            case keys.Row() as place:
                return await self._row(key, place)
            case keys.Entry(repository):
                return await self._entry(key, repository)
            case _:
                return []

    async def has(self, key: str) -> bool:
        """Whether there is an object under a key."""
        with contextlib.suppress(ObjectMissing):
            await self._driver.stat(key)
            return True
        return False

    async def has_content(self, repository: str) -> bool:
        """Whether there is anything of a repository, its place in the catalog left aside."""
        # What is its own begins with "_", which sorts before the letters and after the rest.
        page = await self._driver.children(f"{paths.REPOSITORIES}/{repository}", after="^", limit=1)
        return any(name.startswith("_") for name in page.names)

    async def has_manifests(self, repository: str) -> bool:
        """Whether a repository has a manifest."""
        return bool((await self._driver.children(paths.repository_folder(repository, "manifests"))).names)

    async def stored(self, place: keys.ManifestAt) -> tuple[Descriptor, Manifest] | None:
        """A manifest that is in order; None for one that is damaged or that cannot be read."""
        key = paths.manifest(place.repository, place.digest)
        found = await kept.load(self._driver, key, place.digest)
        with contextlib.suppress(StoreUnavailable, ManifestInvalid):
            described = records.read_descriptor(found.record, key)
            if found.body is not None and _is(found.body, place.digest) and described.digest == place.digest:
                return described, manifests.parse(found.body, described.media_type)
        return None

    async def _bytes(self, key: str, digest: Digest) -> list[Finding]:
        found = await self._hashing.hashed(key, digest.algorithm)
        if found.digest == digest:
            return []
        return [Finding(Kind.WRONG_BYTES, key, f"its {found.size} bytes hash to {found.digest}")]

    async def _link(self, key: str, digest: Digest) -> list[Finding]:
        record, enclosed = records.split(await self._driver.get(key))
        try:
            size = records.read_size(record, key)
        except StoreUnavailable:
            return [Finding(Kind.WRONG_LINK, key, "its record is damaged")]
        if enclosed is not None:
            right = len(enclosed) == size and _is(enclosed, digest)
            return [] if right else [Finding(Kind.WRONG_LINK, key, f"the bytes in it are not {digest}")]
        try:
            there = (await self._driver.stat(paths.blob(digest))).size
        except ObjectMissing:
            return [Finding(Kind.MISSING_BYTES, key, f"the bytes of {digest} are not here")]
        if there == size:
            return []
        return [Finding(Kind.WRONG_LINK, key, f"it says {size} bytes; {there} are here")]

    async def _manifest(self, key: str, place: keys.ManifestAt) -> list[Finding]:
        stored = await kept.load(self._driver, key, place.digest)
        if stored.body is None or not _is(stored.body, place.digest):
            return [Finding(Kind.WRONG_MANIFEST, key, f"its bytes are not {place.digest}")]
        manifest = readable(stored.record, key, stored.body, place.digest)
        if manifest is None:
            return [Finding(Kind.WRONG_MANIFEST, key, "its record is damaged")]
        found = []
        missing = [] if self._sparse(place.repository) else await self._missing(place.repository, manifest)
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            named = ", ".join(map(str, missing[:_SHOWN]))
            found.append(
                Finding(Kind.INCOMPLETE_MANIFEST, key, f"it names what the repository has not: {named}{more}")
            )
        if manifest.subject:
            row = paths.referrer(place.repository, manifest.subject.digest, place.digest)
            if not await self.has(row):
                what = f"the referrers of {manifest.subject.digest} do not list it"
                found.append(Finding(Kind.MISSING_REFERRER, key, what))
        return found

    async def _missing(self, repository: str, manifest: Manifest) -> list[Digest]:
        """What a manifest names and its repository has not."""
        named = {
            item.digest: (
                paths.manifest(repository, item.digest)
                if manifest.is_index
                else paths.blob_link(repository, item.digest)
            )
            for item in (*manifest.blobs(), *manifest.manifests)
        }
        missing = []
        digests = list(named)
        for at in range(0, len(digests), _AT_ONCE):
            batch = digests[at : at + _AT_ONCE]
            there = await asyncio.gather(*(self.has(named[digest]) for digest in batch))
            missing += [digest for digest, here in zip(batch, there, strict=True) if not here]
        return missing

    async def _tag(self, key: str, place: keys.Tag) -> list[Finding]:
        held = await self._driver.get(key)
        try:
            named = records.read_descriptor(records.split(held)[0], key)
        except StoreUnavailable:
            return [Finding(Kind.WRONG_TAG, key, "its record is damaged")]
        manifest = paths.manifest(place.repository, named.digest)
        try:
            record, _ = records.split(await self._driver.get(manifest))
        except ObjectMissing:
            return [Finding(Kind.DANGLING_TAG, key, f"it names {named.digest}, which is not here")]
        with contextlib.suppress(StoreUnavailable):  # of a damaged manifest, its own finding tells
            if records.read_descriptor(record, manifest) != named:
                return [Finding(Kind.WRONG_TAG, key, f"it says another size or type of {named.digest}")]
        try:
            tags.read(held, key)
        except StoreUnavailable:
            return [Finding(Kind.WRONG_TAG, key, "what it named before is damaged")]
        return []

    async def _row(self, key: str, place: keys.Row) -> list[Finding]:
        held = await self._driver.get(key)
        try:
            found = await self.stored(keys.ManifestAt(place.repository, place.digest))
        except ObjectMissing:
            return [Finding(Kind.EARLY_REFERRER, key, f"{place.digest} is not here")]
        if found is None:
            return []
        descriptor, manifest = found
        if manifest.subject is None or manifest.subject.digest != place.subject:
            return [Finding(Kind.DANGLING_REFERRER, key, f"{place.digest} does not refer to {place.subject}")]
        if held != records.write_descriptor(referrers.row(manifest, descriptor)):
            return [Finding(Kind.WRONG_REFERRER, key, f"it does not say what {place.digest} says")]
        return []

    async def _entry(self, key: str, repository: str) -> list[Finding]:
        if await self.has(key):
            if await self.has_content(repository):
                return []
            return [Finding(Kind.EMPTY_ENTRY, key, f"nothing is in {repository}")]
        if not await self.has_manifests(repository):
            return []
        return [Finding(Kind.MISSING_ENTRY, key, f"the catalog does not list {repository}")]


def readable(record: bytes, key: str, body: bytes, digest: Digest) -> Manifest | None:
    """The manifest under a record; None where the record is not that of this body."""
    with contextlib.suppress(StoreUnavailable):
        described = records.read_descriptor(record, key)
        if (described.digest, described.size) == (digest, len(body)):
            with contextlib.suppress(ManifestInvalid):
                return manifests.parse(body, described.media_type)
    return None


def _is(data: bytes, digest: Digest) -> bool:
    return Digest.of(data, digest.algorithm) == digest
