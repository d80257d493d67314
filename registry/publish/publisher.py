"""The story of a push: read, complete, judged, stored, signed, tagged; then acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from registry.audit.record import NOWHERE, Audit, Origin, silent
from registry.publish import plugins, records, refusals, tagging
from registry.publish.examiner import Examiner, keep
from registry.publish.inspect import RULES
from registry.publish.plugins import Attachment, Found, Plugin
from registry.publish.policy import Decision, Policy, decide
from registry.publish.push import ANONYMOUS, Push, Receipt
from registry.publish.signatures import Begun, Signer
from registry.publish.tagging import Moves
from registry.publish.verifier import Verifier
from registry.publish.withdrawal import withdraw
from registry.signing import cosign
from registry.signing.admission import Admission
from registry.signing.bundle import BUNDLE_TYPE
from registry.verdict import Problem
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import nothing
from storage.errors import (
    BlobUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    PreconditionFailed,
    QuotaExceeded,
    TagImmutable,
)
from storage.manifest import Descriptor, Manifest
from storage.repositories import Repository, StoredManifest
from storage.together import together

_log = logging.getLogger("sidecargo.publish")

_REFUSALS = (
    ManifestInvalid,
    ManifestBlobUnknown,
    DigestInvalid,
    TagImmutable,
    QuotaExceeded,
    PreconditionFailed,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the policy decides about a manifest, and what was found in it, if it could be examined."""

    decision: Decision
    found: Found | None


class Publisher:
    """Takes manifests in. `policy_of` says what holds for a repository, `verifier` who must have signed."""

    def __init__(
        self,
        examiner: Examiner,
        signer: Signer,
        policy_of: Callable[[str], Policy],
        verifier: Verifier | None = None,
        audit: Audit = silent,
    ) -> None:
        self._examiner = examiner
        self._audit = audit
        self._signer = signer
        self._verifier = verifier or Verifier()
        self.policy_of = policy_of
        self._last_looks: set[asyncio.Task[object]] = set()

    async def push(self, repository: Repository, push: Push) -> Receipt:
        """Take a manifest in; raises ManifestInvalid, ManifestBlobUnknown, DigestInvalid, TagImmutable,
        QuotaExceeded, PreconditionFailed, CheckFailed, StoreError.

        When it returns, the manifest, its findings, its signature and its tags are in the store. What is
        refused or warned of is kept for who asks why.
        """
        try:
            return await refusals.noted(repository, push, self._push(repository, push))
        except _REFUSALS as refused:
            codes = [problem.code for problem in refusals.problems_of(refused)]
            own = refused.code.lower().replace("_", "-")
            self._audit(
                records.pushed(repository.name, push, refusals.digest_of(push), "refused", codes or [own])
            )
            raise

    async def remove(
        self, repository: Repository, reference: str | Digest, *, by: str = "", origin: Origin = NOWHERE
    ) -> None:
        """Remove a tag; or a manifest, with the tags that name it and its signatures of ours.

        Raises ManifestUnknown, TagImmutable.
        """
        note = partial(records.deleted, repository.name, reference, by, origin)
        try:
            await self._remove(repository, reference)
        except TagImmutable:
            self._audit(note("refused", ("tag-immutable",)))
            raise
        self._audit(note("done"))

    async def _remove(self, repository: Repository, reference: str | Digest) -> None:
        immutable = self.policy_of(repository.name).immutable
        if isinstance(reference, str):
            await tagging.remove(repository, reference, immutable=immutable)
            return
        withdrawn = partial(withdraw, repository, reference, self._signer)
        try:
            await tagging.remove(repository, reference, immutable=immutable, then=withdrawn)
        except ManifestUnknown:
            await withdrawn()  # a deletion before may have failed after the manifest
            raise

    async def close(self) -> None:
        """Be done with what nobody waits for."""
        await asyncio.gather(*self._last_looks, return_exceptions=True)

    async def _push(self, repository: Repository, push: Push) -> Receipt:
        manifest = manifests.parse(push.body, push.content_type)
        digest = _named(push)
        moves = Moves(repository, push, digest, self.policy_of(repository.name).immutable)
        await moves.check()
        async with repository.room(digest, len(push.body)):
            return await self._taken(repository, push, manifest, digest, moves)

    async def _taken(
        self, repository: Repository, push: Push, manifest: Manifest, digest: Digest, moves: Moves
    ) -> Receipt:
        policy = self.policy_of(repository.name)
        # Where a repository may be sparse, whether it has the layer is to be seen first.
        foreseen = None if policy.sparse else await self._examiner.foreseen(manifest, digest)
        missing, known, begun, _ = await together(
            repository.missing(manifest),
            nothing() if foreseen else self._examiner.known(repository, manifest, digest),
            self._begin(repository, manifest, digest, push, foreseen),
            moves.look(),
        )
        if missing and not policy.sparse:
            raise ManifestBlobUnknown([str(digest) for digest in missing])
        judged = await self._judge(repository, manifest, digest, push, foreseen or known)
        named = Descriptor(manifest.media_type, digest, len(push.body))
        if begun is None and judged.decision.loads and isinstance(judged.found, Plugin):
            begun = await self._sign(repository, named, push, judged.found)

        # Each step is in the store before the next one names it.
        stored, signature, _ = await together(
            repository.store(manifest, push.body, digest),
            self._signer.store(repository, begun) if begun else nothing(),
            keep(repository, digest, judged.found) if judged.found else nothing(),
        )
        signature, _ = await together(
            self._signer.publish(repository, begun, signature) if begun else nothing(),
            repository.hold(manifest),
        )
        answered = await self._verifier.before(repository, manifest, digest, moves.tags)
        replaced = await moves.make(stored.descriptor, partial(self._merged, repository, stored), answered)
        if manifest.subject and manifest.referrer_type == BUNDLE_TYPE:
            await self._signer.accompany(repository, manifest.subject.digest)
        await self._look_again(repository, stored if moves.tags else None, begun, signature)
        unsigned = await self._verifier.after(repository, digest, _signed(manifest, moves.tags))
        receipt = self._receipt(repository, push, manifest, digest, judged, replaced)
        return replace(receipt, unsigned=unsigned)

    async def _merged(
        self, repository: Repository, stored: StoredManifest, tag: str, held: bytes | None
    ) -> bool:
        """Whether a tag is cosign's: it comes to name what was pushed, and what of ours it named before."""
        signed = cosign.signed_by(tag)
        if signed is None:
            return False
        await self._signer.merge(repository, signed, stored, held)
        return True

    async def _begin(
        self, repository: Repository, manifest: Manifest, digest: Digest, push: Push, foreseen: Plugin | None
    ) -> Begun | None:
        """Begin the signature of what will load."""
        named = Descriptor(manifest.media_type, digest, len(push.body))
        with contextlib.suppress(ManifestInvalid):
            if foreseen and self._decided(repository, digest, push, foreseen).decision.loads:
                return await self._sign(repository, named, push, foreseen)
        return None

    async def _sign(self, repository: Repository, named: Descriptor, push: Push, found: Plugin) -> Begun:
        """Begin the signature of what loads, and of what is said of its push."""
        policy = self.policy_of(repository.name)
        said = Admission(
            by=push.by or ANONYMOUS,
            at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            mode=policy.mode,
            consumers=policy.consumers,
            envoys=policy.envoys,
            rules=RULES,
            findings=plugins.fingerprint(found),
            module=found.module,
        )
        return await self._signer.begin(repository, named, said)

    async def _judge(
        self, repository: Repository, manifest: Manifest, digest: Digest, push: Push, known: Found | None
    ) -> Judged:
        """What was found, and what the policy makes of it; raises ManifestInvalid, CheckFailed."""
        policy = self.policy_of(repository.name)
        is_whole = not (policy.sparse or manifest.is_index)
        try:
            found = known or await self._examiner.take_apart(repository, manifest, digest, is_whole=is_whole)
        except (BlobUnknown, ManifestUnknown) as absent:
            if not policy.sparse:  # deleted since it was looked for; or even put back meanwhile
                gone = await repository.missing(manifest) or [named.digest for named in manifest.blobs()]
                raise ManifestBlobUnknown([str(digest) for digest in gone]) from None
            # Sparse: what is not here cannot be judged, and so is not signed.
            problem = Problem("not-checked", f"not checked: {absent.message}", "")
            return Judged(Decision(False, (problem,), is_warning=policy.mode != "off"), None)
        return self._decided(repository, digest, push, found)

    def _decided(self, repository: Repository, digest: Digest, push: Push, found: Found) -> Judged:
        """What the policy makes of what was found; raises ManifestInvalid."""
        if not isinstance(found, Plugin):
            return Judged(Decision(loads=False), found)
        reference = f"{self._signer.host}/{repository.name}:{_tag_of(push)}"
        return Judged(decide(self.policy_of(repository.name), found.findings, digest, reference), found)

    async def _look_again(
        self,
        repository: Repository,
        tagged: StoredManifest | None,
        begun: Begun | None,
        signature: StoredManifest | None,
    ) -> None:
        """Be sure that what tags name was not deleted while they were moved.

        Where looks are journeys nobody waits for it: it is needed only beside a deletion, and then the push
        may as well have come before that.
        """
        looks = self._stay(repository, tagged, begun, signature)
        if not repository.remote:
            await looks
            return
        look = asyncio.create_task(looks)
        self._last_looks.add(look)
        look.add_done_callback(self._looked)

    async def _stay(
        self,
        repository: Repository,
        tagged: StoredManifest | None,
        begun: Begun | None,
        signature: StoredManifest | None,
    ) -> None:
        if signature and begun and begun.is_first and repository.remote:
            # A deletion takes what is signed, then its signature, and then looks for tags: what it left of
            # these tells of both.
            came_back = await repository.stay(signature)
            if came_back and tagged:
                await repository.stay(tagged)
        else:
            came_back = any(await together(*map(repository.stay, filter(None, (tagged, signature)))))
        if begun and came_back:
            await self._signer.sign(repository, begun.signed, *begun.said)

    def _looked(self, look: asyncio.Task[object]) -> None:
        self._last_looks.discard(look)
        if not look.cancelled() and (error := look.exception()):
            _log.warning("it is not known whether a push that was acknowledged met a deletion: %s", error)

    def _receipt(
        self,
        repository: Repository,
        push: Push,
        manifest: Manifest,
        digest: Digest,
        judged: Judged,
        replaced: Mapping[str, Digest],
    ) -> Receipt:
        decision, found = judged.decision, judged.found
        outcome = "attachment" if isinstance(found, Attachment) else "accepted"
        codes = [problem.code for problem in decision.problems]
        pin = found.image if isinstance(found, Plugin) else None
        outcome = "warned" if decision.is_warning else outcome
        self._audit(records.pushed(repository.name, push, digest, outcome, codes, pin, replaced))
        subject = manifest.subject.digest if manifest.subject else None
        return Receipt(digest, subject, push.tags, decision.warnings, decision.problems)


def _signed(manifest: Manifest, tags: Sequence[str]) -> list[Digest]:
    """What a push may bring a signature of."""
    return [
        *filter(None, map(cosign.signed_by, tags)),
        *([manifest.subject.digest] if manifest.subject else []),
    ]


def _tag_of(push: Push) -> str:
    tags = push.tags if isinstance(push.reference, Digest) else (push.reference,)
    return tags[0] if tags else "TAG"


def _named(push: Push) -> Digest:
    if isinstance(push.reference, str):
        return Digest.of(push.body)
    digest = Digest.of(push.body, push.reference.algorithm)
    if digest != push.reference:
        raise DigestInvalid(f"the manifest was pushed as {push.reference}, but hashes to {digest}.")
    return digest
