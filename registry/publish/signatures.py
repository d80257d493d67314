"""Signing what loads, in both forms: under cosign's tag, and as bundles that refer to it.

A signature is stored in the steps of the push that it belongs to, so that it costs no more rounds:

- `begin`: the parts of what cosign's tag names, while it is looked for what is signed already;
- `store`: the manifest of these; the bundles and their rows as referrers;
- `publish`: cosign's tag; the manifests of the bundles. What is signed is stored before.

Where cosign's tag was not there, no bundle was, and none is looked for: who withdraws signatures removes
bundles before that tag (`registry.publish.withdrawal`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from registry.publish import ours
from registry.publish.ours import Bundle, Known
from registry.signing import bundle, cosign
from registry.signing.admission import ADMITTED, Admission
from registry.signing.bundle import SIGNED, Attached
from registry.signing.cosign import Signature, SignatureManifest
from registry.signing.ring import KeyRing
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor, Manifest
from storage.referrers import row
from storage.repositories import Repository, StoredManifest
from storage.together import together

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Begun:
    """A signature that is being stored: `manifest` for cosign's tag, None where that names it already.

    `said` is all that is said of it, `bundles` are those that are not here yet. `held` is what cosign's tag
    was; a subject of others' making is in `manifest` too.
    """

    signed: Descriptor
    said: tuple[Admission | bytes, ...]
    manifest: SignatureManifest | None
    bundles: tuple[Attached, ...]
    held: bytes | None
    has_subject: bool = False

    @property
    def is_first(self) -> bool:
        """Whether nothing was signed before."""
        return self.held is None


class Signer:
    """Signs manifests of repositories; `host` is how the registry is known (`HOST[:PORT]`).

    Without `bundles` it signs under cosign's tag only.
    """

    def __init__(self, ring: KeyRing, host: str, *, bundles: bool = True) -> None:
        self.ring = ring
        self.host = host
        self.with_bundles = bundles

    async def sign(
        self, repository: Repository, signed: Descriptor, *said: Admission | bytes
    ) -> StoredManifest | None:
        """Sign a manifest, and what is said of it (an admission, or a statement that was made before)."""
        begun = await self.begin(repository, signed, *said)
        return await self.publish(repository, begun, await self.store(repository, begun))

    async def begin(self, repository: Repository, signed: Descriptor, *said: Admission | bytes) -> Begun:
        """Store the parts of a signature. What others signed stays in its manifest."""
        signature = cosign.sign(self._name(repository), signed.digest, self.ring.signing)
        alone = cosign.signature_manifest(signature)
        assert alone is not None
        # Most are signed for the first time: the parts are written while that is looked for.
        _, there = await together(
            repository.blobs.enclose(*alone.parts), ours.tagged(repository, signed.digest)
        )
        if there.held is None:
            return Begun(signed, said, alone, self._missing(repository, signed, said, ()), None)
        known = await ours.look(repository, signed.digest, self.ring, there)
        return await self.go_on(repository, signed, known, *said)

    async def go_on(
        self, repository: Repository, signed: Descriptor, known: Known, *said: Admission | bytes
    ) -> Begun:
        """Store the parts of what is not signed yet, besides what is `known`."""
        begun = self._further(repository, signed, known, *said)
        if begun.manifest is not None:
            await repository.blobs.enclose(*begun.manifest.parts)
        return begun

    async def sign_further(
        self, repository: Repository, signed: Descriptor, known: Known, *said: Admission | bytes
    ) -> None:
        """Sign what is `known` once more, at once: in fewer writes than by the steps of a push."""
        begun = self._further(repository, signed, known, *said)
        if begun.has_subject:
            begun = await self.go_on(repository, signed, known, *said)
            await self.publish(repository, begun, await self.store(repository, begun))
            return
        tagged, read = begun.manifest, {layer.digest for layer, _ in known.layers}
        # All keys sign the same payload, which was read just now; bundles that are here hold what is empty.
        blobs = [part for part in tagged.parts if Digest.of(part) not in read] if tagged else []
        blobs += [bundle.EMPTY] if begun.bundles and not known.bundles else []
        blobs += [one.bundle for one in begun.bundles]
        first = await repository.blobs.enclosed(*blobs)
        for one in begun.bundles:
            first |= repository.referrers.written(one.subject, _row(one))
        bodies = [*([tagged.manifest] if tagged else []), *(one.manifest for one in begun.bundles)]
        stored = await repository.store_all_beside(OCI_MANIFEST, bodies, first)
        _, noted = await together(
            self._tag(repository, begun, stored[0] if tagged else None),
            repository.referrers.noted(signed.digest),
        )
        for one in begun.bundles:
            if str(one.digest) not in noted:
                await self._keep_row(repository, one)

    def _further(
        self, repository: Repository, signed: Descriptor, known: Known, *said: Admission | bytes
    ) -> Begun:
        """What is to be stored besides what is `known`."""
        there = known.tagged
        signature = cosign.sign(self._name(repository), signed.digest, self.ring.signing)
        new = cosign.signature_manifest(signature, there.manifest)
        missing = () if known.is_by_tag else self._missing(repository, signed, said, known.bundles)
        has_subject = bool(there.manifest and there.manifest.subject)
        return Begun(signed, said, new, missing, there.held, has_subject)

    async def store(self, repository: Repository, begun: Begun) -> StoredManifest | None:
        """Store what `publish` will name; the manifest for cosign's tag, None where it is there.

        Whoever calls stores what is signed, and so enters the catalog.
        """
        empty = (bundle.EMPTY,) if begun.bundles else ()
        stored, *_ = await together(
            self._store_tagged(repository, begun),
            repository.blobs.enclose(*empty, *(one.bundle for one in begun.bundles)),
            *(_refer(repository, one) for one in begun.bundles),
        )
        found: StoredManifest | None = stored
        return found

    async def publish(
        self, repository: Repository, begun: Begun, stored: StoredManifest | None
    ) -> StoredManifest | None:
        """Let cosign's tag and referrers name what was stored; what cosign's tag names then.

        Where somebody else has signed meanwhile, theirs and ours are in one manifest. What was signed before
        is looked for again, once its manifest is there: garbage collection takes the signature of a manifest
        that goes, and then looks for manifests.
        """
        if stored is None and not begun.is_first:
            begun = await self.begin(repository, begun.signed, *begun.said)
            stored = await self.store(repository, begun)
        named, *_ = await together(
            self._tag(repository, begun, stored),
            *(self._attach(repository, one, begun.is_first) for one in begun.bundles),
        )
        found: StoredManifest | None = named
        return found

    async def merge(
        self, repository: Repository, digest: Digest, pushed: StoredManifest, held: bytes | None
    ) -> None:
        """Let cosign's tag name what a tool pushed to it, together with those of ours that it named before.

        What was pushed stays as it is under its digest. `held` is what the tag was. Where it holds signatures
        of others, which cosign does not look at beside bundles, ours are there only.
        """
        tag = cosign.signature_tag(digest)
        for _ in range(_TRIES):
            named = await self._with_ours(repository, digest, pushed) if held is not None else pushed
            if await repository.tags.move(tag, named.descriptor, held):
                await self._withdraw_bundles(repository, digest)
                return
            held = await repository.tags.held(tag)
        raise _moved_by_others(tag)

    async def accompany(self, repository: Repository, digest: Digest) -> None:
        """Sign as a bundle too what we signed under cosign's tag: somebody else's bundle has come to it."""
        known = await ours.look(repository, digest, self.ring)
        if known.layers and not known.is_by_tag:
            with contextlib.suppress(ManifestUnknown):
                found, _ = await repository.find(digest)
                signed = Descriptor(found.media_type, found.digest, found.size)
                begun = await self.go_on(repository, signed, known)
                await self.publish(repository, begun, await self.store(repository, begun))

    def alone(self, repository: Repository, digest: Digest) -> Digest:
        """What our manifest under cosign's tag is called where nobody else, and no other key, has signed."""
        made = cosign.signature_manifest(cosign.sign(self._name(repository), digest, self.ring.signing))
        assert made is not None
        return Digest.of(made.manifest)

    async def _withdraw_bundles(self, repository: Repository, digest: Digest) -> None:
        known = await ours.look(repository, digest, self.ring)
        for one in known.bundles if known.is_by_tag else ():
            with contextlib.suppress(ManifestUnknown):
                await repository.remove(one.stored.digest)

    async def _with_ours(
        self, repository: Repository, digest: Digest, pushed: StoredManifest
    ) -> StoredManifest:
        there = await ours.tagged(repository, digest)
        if there.manifest is None or pushed.descriptor.media_type not in manifests.IMAGE_TYPES:
            return pushed
        merged = pushed
        for layer, _ in await ours.layers(repository, there.manifest, digest, self.ring):
            new = cosign.signature_manifest(Signature(b"", layer), _parsed(merged))
            if new is not None:
                await repository.blobs.enclose(new.config)
                merged = await repository.put(_manifest(new.manifest), new.manifest, Digest.of(new.manifest))
        return merged

    def _missing(
        self,
        repository: Repository,
        signed: Descriptor,
        said: Sequence[Admission | bytes],
        there: Sequence[Bundle],
    ) -> tuple[Attached, ...]:
        """The bundles that are not here yet: the signature, and a statement each for what is said."""
        if not self.with_bundles:
            return ()
        key = self.ring.signing
        mine = [one for one in there if one.key_id == key.key_id]
        new = [] if any(one.statement.kind == SIGNED for one in mine) else [bundle.sign(signed, key)]
        for one in said:
            if isinstance(one, bytes):
                is_said, statement = any(one == other.payload for other in mine), one
            else:
                is_said = any(
                    other.statement.kind == ADMITTED and one.is_said_by(other.statement.predicate)
                    for other in mine
                )
                statement = one.statement(self._name(repository), signed.digest)
            if not is_said:
                new.append(bundle.attest(signed, statement, ADMITTED, key))
        return tuple(new)

    async def _store_tagged(self, repository: Repository, begun: Begun) -> StoredManifest | None:
        if begun.manifest is None:
            return None
        body = begun.manifest.manifest
        if begun.has_subject:
            return await repository.put(_manifest(body), body, Digest.of(body))
        return await repository.store_beside(OCI_MANIFEST, body)

    async def _tag(
        self, repository: Repository, begun: Begun, stored: StoredManifest | None
    ) -> StoredManifest | None:
        tag = cosign.signature_tag(begun.signed.digest)
        for _ in range(_TRIES):
            if stored is None or await repository.tags.move(tag, stored.descriptor, begun.held):
                return stored
            begun = await self.begin(repository, begun.signed)
            stored = await self._store_tagged(repository, begun)
        raise _moved_by_others(tag)

    async def _attach(self, repository: Repository, one: Attached, is_first: bool) -> None:
        await repository.store_beside(OCI_MANIFEST, one.manifest)
        if not is_first:
            await self._keep_row(repository, one)

    async def _keep_row(self, repository: Repository, one: Attached) -> None:
        """Put a row back that a deletion which was under way has taken after the manifest."""
        if not await repository.referrers.has(one.subject, one.digest):
            await _refer(repository, one)

    def _name(self, repository: Repository) -> str:
        return f"{self.host}/{repository.name}"


async def _refer(repository: Repository, one: Attached) -> None:
    await repository.referrers.add(one.subject, _row(one))


def _row(one: Attached) -> Descriptor:
    return row(_manifest(one.manifest), Descriptor(OCI_MANIFEST, one.digest, len(one.manifest)))


def _manifest(body: bytes) -> Manifest:
    return manifests.parse(body, OCI_MANIFEST)


def _parsed(stored: StoredManifest) -> Manifest:
    return manifests.parse(stored.body, stored.descriptor.media_type)


def _moved_by_others(tag: str) -> StoreUnavailable:
    return StoreUnavailable(f"the tag {tag!r} is being moved by others.", fix="Push again.")
