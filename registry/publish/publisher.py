"""The story of a push: read, complete, judged, stored, signed, tagged; then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from registry.publish import refusals
from registry.publish.examiner import Examiner, keep
from registry.publish.plugins import Attachment, Found, Plugin
from registry.publish.policy import Decision, Policy, decide
from registry.publish.signatures import Signer
from registry.signing.cosign import signature_tag
from registry.verdict import Problem
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import (
    BlobUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
)
from storage.manifest import Manifest
from storage.repositories import Repository

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_log = logging.getLogger("sidecargo.publish")


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest as it came: `reference` is a tag or a digest, `tags` are further tags to set."""

    reference: str | Digest
    content_type: str
    body: bytes
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was acknowledged: `problems` are what is wrong, `warnings` what the client is told of it."""

    digest: Digest
    subject: Digest | None
    tags: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Publisher:
    """Takes manifests in. `policy_of` says what holds for a repository."""

    def __init__(self, examiner: Examiner, signer: Signer, policy_of: Callable[[str], Policy]) -> None:
        self._examiner = examiner
        self._signer = signer
        self.policy_of = policy_of

    async def push(self, repository: Repository, push: Push) -> Receipt:
        """Take a manifest in; raises ManifestInvalid, ManifestBlobUnknown, DigestInvalid, CheckFailed,
        StoreError.

        When it returns, the manifest, its findings, its signature and its tags are in the store. What is
        refused or warned of is kept for who asks why.
        """
        try:
            return await refusals.noted(repository, push, self._push(repository, push))
        except (ManifestInvalid, ManifestBlobUnknown, DigestInvalid) as refused:
            codes = [problem.code for problem in refusals.problems_of(refused)]
            own = refused.code.lower().replace("_", "-")
            _log_outcome(repository, push, refusals.digest_of(push), "refused", codes or [own])
            raise

    async def _push(self, repository: Repository, push: Push) -> Receipt:
        manifest = manifests.parse(push.body, push.content_type)
        digest = _named(push)
        policy = self.policy_of(repository.name)
        missing, known = await asyncio.gather(
            repository.missing(manifest), self._examiner.known(repository, manifest, digest)
        )
        if missing and not policy.sparse:
            raise ManifestBlobUnknown([str(digest) for digest in missing])

        decision, found = await self._judge(repository, manifest, digest, policy, push, known)
        # Nothing names these yet but digests, so they are written together.
        stored, was_signed, _ = await _together(
            repository.put(manifest, push.body, digest),
            self._sign(repository, digest, decision),
            _note(repository, digest, found),
        )
        if was_signed:
            # Where the manifest had gone, garbage collection may have taken its signature meanwhile: it takes
            # that and looks for manifests, this puts the manifest and looks for its signature.
            await self._sign(repository, digest, decision)
        tags = push.tags if isinstance(push.reference, Digest) else (push.reference, *push.tags)
        for tag in dict.fromkeys(tags):
            await repository.tag(tag, stored)
        outcome = "attachment" if isinstance(found, Attachment) else "accepted"
        codes = [problem.code for problem in decision.problems]
        pin = found.image if isinstance(found, Plugin) else None
        _log_outcome(repository, push, digest, "warned" if decision.is_warning else outcome, codes, pin)
        subject = manifest.subject.digest if manifest.subject else None
        return Receipt(digest, subject, push.tags, decision.warnings, decision.problems)

    async def _judge(
        self,
        repository: Repository,
        manifest: Manifest,
        digest: Digest,
        policy: Policy,
        push: Push,
        known: Found | None,
    ) -> tuple[Decision, Found | None]:
        """What was found, and what the policy makes of it; raises ManifestInvalid, CheckFailed."""
        is_whole = not (policy.sparse or manifest.is_index)
        try:
            found = known or await self._examiner.take_apart(repository, manifest, digest, is_whole=is_whole)
        except (BlobUnknown, ManifestUnknown) as absent:
            if not policy.sparse:  # deleted since it was looked for; or even put back meanwhile
                gone = await repository.missing(manifest) or [named.digest for named in manifest.blobs()]
                raise ManifestBlobUnknown([str(digest) for digest in gone]) from None
            # Sparse: what is not here cannot be judged, and so is not signed.
            problem = Problem("not-checked", f"not checked: {absent.message}", "")
            return Decision(False, (problem,), is_warning=policy.mode != "off"), None
        if isinstance(found, Plugin):
            reference = f"{self._signer.host}/{repository.name}:{_tag_of(push)}"
            return decide(policy, found.findings, digest, reference), found
        return Decision(loads=False), found

    async def _sign(self, repository: Repository, digest: Digest, decision: Decision) -> bool:
        """Store the signature of what loads; its tag names a digest that nobody can pull yet.

        Whether it was there already.
        """
        if not decision.loads:
            return False
        signature = await self._signer.store(repository, digest)
        if signature:
            await repository.tag(signature_tag(digest), signature)
        return signature is None


async def _note(repository: Repository, digest: Digest, found: Found | None) -> None:
    if found:
        await keep(repository, digest, found)


async def _together(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C]) -> tuple[A, B, C]:
    """What all three give. All have ended when one of their failures is raised."""
    found = await asyncio.gather(first, second, third, return_exceptions=True)
    for failure in found:
        if isinstance(failure, BaseException):
            raise failure
    return cast(tuple[A, B, C], found)


def _log_outcome(
    repository: Repository,
    push: Push,
    digest: Digest,
    outcome: str,
    codes: Sequence[str],
    pin: Digest | None = None,
) -> None:
    """A line for each push; all in it is of a grammar without blanks."""
    _log.info(
        "push repository=%s reference=%s digest=%s pin=%s outcome=%s problems=%s",
        repository.name,
        push.reference,
        digest,
        pin or "-",
        outcome,
        ",".join(codes) or "-",
    )


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
