"""Verification: holding back what none of the keys that count has signed, from all who may not push.

What makes a manifest free is looked for in the store when it is asked for, so replicas agree, a signature
counts as soon as it is stored, and no longer than it is. What was found is remembered with its witnesses, and
these are asked each time. A manifest is free

- that is signed by one of the keys, in either form of cosign,
- that an index names which is free: who signs an index signs what it names,
- or that is an attachment by its content: it has to be read to verify anything.

A tag answers the newest of what it names and named that is free.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from registry.consumers import attachments
from registry.publish import evidence
from registry.signing import verification
from registry.signing.keys import PublicKey
from registry.verdict import Problem
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.manifest import Descriptor, Manifest
from storage.repositories import Repository
from storage.tags import History
from storage.together import together

T = TypeVar("T")
Place = tuple[str, Digest]

_REMEMBERED = 10_000
_DEPTH = 3  # of indexes that name one another
_LISTED = 64
_AGAIN = 1.0
"""Seconds for which what is not signed is not looked for again, where looks are journeys."""


@dataclass(frozen=True, slots=True)
class Free:
    """Why a manifest is free, for as long as these hold; `key_id` is whose signature it is, if it has one."""

    witnesses: tuple[Witness, ...] = ()
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What is asked of a manifest: who signed it (None: it needs no signature), or the `problem`."""

    key_id: str | None = None
    problem: Problem | None = None


def nobody(repository: str) -> tuple[PublicKey, ...]:
    """No key is asked for."""
    del repository
    return ()


class Verifier:
    """`keys_of` are the keys of which one must sign what a repository has; without any nothing is asked.

    `host` is how the registry is known. Everything raises StoreError: what is not known is not taken for
    absent, nor for signed.
    """

    def __init__(
        self,
        keys_of: Callable[[str], Sequence[PublicKey]] = nobody,
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys_of = keys_of
        self._host = host
        self._clock = clock
        self._free: OrderedDict[Place, Free] = OrderedDict()
        self._unsigned: OrderedDict[Place, float] = OrderedDict()

    def asks(self, repository: Repository) -> bool:
        """Whether anything need be signed there."""
        return bool(self._keys_of(repository.name))

    async def find(
        self, repository: Repository, reference: str | Digest, *, may_push: bool
    ) -> tuple[Descriptor, Witness | None]:
        """What a tag or a digest names for who may push, or may not; raises ManifestUnknown.

        Without a witness the answer is not for everybody, or not for long.
        """
        if not self.asks(repository):
            return await repository.find(reference)
        if isinstance(reference, str) and not may_push:
            history, witness = await self._answered(repository, reference)
            return history.named, witness
        found, witness = await repository.find(reference)
        free = None
        try:
            free = await self.look(repository, found.digest)
        except StoreUnavailable:
            if not may_push:
                raise
        if free is None and not may_push:
            raise self._held(repository, reference, found.digest)
        return found, replace(witness, beside=free.witnesses) if free else None

    async def history(self, repository: Repository, tag: str, *, may_push: bool) -> History:
        """What a tag names and named, for who may not push no newer than what is free."""
        found = await repository.tags.history(tag)
        if may_push or not self.asks(repository):
            return found
        answered, _ = await self._answered(repository, tag)
        return replace(answered, former=tuple(one for one in answered.former if one in found.former))

    async def verified(self, repository: Repository, digest: Digest) -> Verified | None:
        """Whether a manifest is to be had by everybody who may pull; None where nothing is asked."""
        if not self.asks(repository):
            return None
        if free := await self.look(repository, digest):
            return Verified(free.key_id)
        problem = Problem(
            "not-signed",
            f"{digest} has no signature by a key that {repository.name} asks for: who may not push gets 404.",
            f"Sign it: {self._sign(repository, digest)}",
        )
        return Verified(problem=problem)

    async def before(
        self, repository: Repository, manifest: Manifest, digest: Digest, tags: Iterable[str]
    ) -> dict[str, Digest]:
        """Note what a manifest names, before tags name it; what each of these is answered as until then."""
        answered = {}
        if self.asks(repository):
            await self._note(repository, digest, manifest)
            for tag in tags:
                # A tag that cannot be read may be pushed anew.
                with contextlib.suppress(ManifestUnknown, StoreUnavailable):
                    answered[tag] = (await self._answered(repository, tag))[0].named.digest
        return answered

    async def after(self, repository: Repository, digest: Digest, signed: Iterable[Digest]) -> Problem | None:
        """Note that a push may have brought signatures of these; what is missing of what it pushed."""
        if not self.asks(repository):
            return None
        for one in signed:
            self._unsigned.pop((repository.name, one), None)
            await self._note(repository, one, await _stored(repository, one))
        with contextlib.suppress(StoreUnavailable):  # it is stored: who pushed it need not know
            verified = await self.verified(repository, digest)
            return verified.problem if verified else None
        return None

    async def _note(self, repository: Repository, digest: Digest, manifest: Manifest | None) -> None:
        """Note that an index names its children."""
        if manifest and manifest.is_index:
            children = [entry.digest for entry in manifest.manifests]
            for child in children:
                self._unsigned.pop((repository.name, child), None)
            await repository.parents.note(digest, children)

    async def look(self, repository: Repository, digest: Digest, depth: int = _DEPTH) -> Free | None:
        """Why a manifest is free; None: it is held back, or not here."""
        place = repository.name, digest
        if known := self._free.pop(place, None):
            if all(await together(*map(repository.holds, known.witnesses))):
                return self._remembered(place, known)
        elif repository.remote and self._clock() < self._unsigned.get(place, 0.0):
            return None
        manifest = await _stored(repository, digest)
        if manifest is None:
            return None
        free = (
            await _by_content(repository, manifest)
            or await self._by_signature(repository, digest)
            or await self._by_index(repository, digest, depth)
        )
        if free:
            return self._remembered(place, free)
        self._unsigned[place] = self._clock() + _AGAIN
        _shorten(self._unsigned)
        return None

    async def _by_signature(self, repository: Repository, digest: Digest) -> Free | None:
        keys = self._keys_of(repository.name)
        async with contextlib.aclosing(evidence.find(repository, digest)) as found:
            async for one in found:
                if key := verification.check(one.candidate, keys, digest).key:
                    return Free((one.witness,), key.key_id)
        return None

    async def _by_index(self, repository: Repository, digest: Digest, depth: int) -> Free | None:
        for index in await repository.parents.of(digest) if depth else ():
            with contextlib.suppress(ManifestUnknown):
                _, witness = await repository.find(index)
                manifest = await _stored(repository, index)
                if manifest and any(entry.digest == digest for entry in manifest.manifests):
                    free = await self.look(repository, index, depth - 1)
                    if free:
                        return Free((witness, *free.witnesses), free.key_id)
        return None

    async def _answered(self, repository: Repository, tag: str) -> tuple[History, Witness | None]:
        """What a tag names for who may not push, and named before."""
        whole, witness = await repository.tags.whole(tag)
        if free := await self.look(repository, whole.named.digest):
            return whole, replace(witness, beside=free.witnesses)
        held = {whole.named.digest}
        for at, one in enumerate(whole.former):
            digest = one.descriptor.digest
            if digest not in held and await self.look(repository, digest):
                with contextlib.suppress(ManifestUnknown):
                    await repository.find(digest)
                    return History(one.descriptor, whole.former[at + 1 :], one.by, one.since), None
            held.add(digest)
        raise self._held(repository, tag, whole.named.digest)

    def _held(self, repository: Repository, reference: str | Digest, digest: Digest) -> ManifestUnknown:
        joint = "@" if isinstance(reference, Digest) else ":"
        return ManifestUnknown(
            f"{repository.name}{joint}{reference} has no signature by a key that is asked for here.",
            fix=f"Who may push there signs it: {self._sign(repository, digest)}",
        )

    def _sign(self, repository: Repository, digest: Digest) -> str:
        return f"cosign sign --key KEY {self._host}/{repository.name}@{digest}"

    def _remembered(self, place: Place, free: Free) -> Free:
        self._free[place] = free
        _shorten(self._free)
        return free


async def _by_content(repository: Repository, manifest: Manifest) -> Free | None:
    """An attachment is free; an index too where it lists nothing else, as for tools without referrers."""
    if not manifest.is_index:
        return Free() if attachments.is_attachment(manifest) else None
    for child in manifest.manifests[:_LISTED]:
        found = await _stored(repository, child.digest)
        if found is None or found.is_index or not attachments.is_attachment(found):
            return None
    return Free() if 0 < len(manifest.manifests) <= _LISTED else None


async def _stored(repository: Repository, digest: Digest) -> Manifest | None:
    with contextlib.suppress(ManifestUnknown, ManifestInvalid):
        stored = await repository.get(digest)
        return manifests.parse(stored.body, stored.descriptor.media_type)
    return None


def _shorten(memory: OrderedDict[Place, T]) -> None:
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
