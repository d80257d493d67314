"""Signing again what is stored: what an older key of the registry signed is signed by the key of now too.

It runs beside servers, and may be stopped at any time: what has all its signatures is passed by, so the next
run goes on where the last one ended. Older signatures stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from registry.publish import ours
from registry.publish.ours import Known
from registry.publish.signatures import Signer
from registry.signing import cosign
from registry.signing.admission import ADMITTED
from registry.signing.bundle import SIGNED
from storage.digest import Digest
from storage.errors import ManifestUnknown, StoreFull, StoreUnavailable
from storage.manifest import Descriptor
from storage.repositories import Repository
from storage.store import Store
from storage.together import together

PAGE = 1000
"""Tags and repositories that are asked for at a time."""
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Share:
    """One of `of` equal parts of all manifests, by their digests; all of them where nothing is said."""

    number: int = 0
    of: int = 1

    def holds(self, digest: Digest) -> bool:
        """Whether a manifest is in it."""
        return int(digest.hex[:8], 16) % self.of == self.number


@dataclass(slots=True)
class Counts:
    """How far it is: signed manifests `seen`, of them `anew` signed now, `unreadable` damaged ones."""

    repositories: int = 0
    seen: int = 0
    anew: int = 0
    unreadable: int = 0


class Resign:
    """Goes through a share of a store.

    `told` is called now and then with a repository's name and the counts so far.
    """

    def __init__(
        self, store: Store, signer: Signer, told: Callable[[str, Counts], None], share: Share | None = None
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._signer = signer
        self._told = told
        self._share = share or Share()

    async def run(self) -> Counts:
        """Sign what lacks a signature of the key of now, repository by repository; raises StoreError."""
        after, more = "", True
        while more:
            page = await self._store.catalog(after=after, limit=PAGE)
            for name in page.names:
                await self._of(self._store.repository(name))
                self.counts.repositories += 1
            after, more = (page.names[-1] if page.names else after), page.more
        return self.counts

    async def _of(self, repository: Repository) -> None:
        after, more = "", True
        while more:
            page = await repository.tags.page(after=after, limit=PAGE)
            named = (digest for tag in page.names if (digest := cosign.signed_by(tag)))
            signed = filter(self._share.holds, named)
            await together(*(self._each(repository, signed) for _ in range(_AT_ONCE)))
            after, more = (page.names[-1] if page.names else after), page.more
        self._told(repository.name, self.counts)

    async def _each(self, repository: Repository, digests: Iterator[Digest]) -> None:
        """Take one after another of those that are left to all who do."""
        for digest in digests:
            await self._counted(repository, digest)
            self._told(repository.name, self.counts)

    async def _counted(self, repository: Repository, digest: Digest) -> None:
        try:
            await self._one(repository, digest)
        except ManifestUnknown:  # deleted; what is left of its signatures is nobody's
            return
        except StoreFull:
            raise
        except StoreUnavailable:
            self.counts.unreadable += 1

    async def _one(self, repository: Repository, digest: Digest) -> None:
        known, (found, _) = await together(
            ours.look(repository, digest, self._signer.ring), repository.find(digest)
        )
        if not known.layers:  # signed by others only
            return
        self.counts.seen += 1
        said = {one.payload for one in known.bundles if one.statement.kind == ADMITTED}
        if not self._is_done(known, len(said)):
            signed = Descriptor(found.media_type, found.digest, found.size)
            await self._signer.sign_further(repository, signed, known, *sorted(said))
            self.counts.anew += 1

    def _is_done(self, known: Known, said: int) -> bool:
        """Whether the key of now has signed under cosign's tag, and each statement that an older one has."""
        now = self._signer.ring.signing.key_id
        if not any(key.key_id == now for _, key in known.layers):
            return False
        if known.is_by_tag or not self._signer.with_bundles:
            return True
        mine = [one.statement.kind for one in known.bundles if one.key_id == now]
        return SIGNED in mine and mine.count(ADMITTED) >= said
