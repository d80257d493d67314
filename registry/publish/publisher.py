"""The story of a push: read, complete, judged, stored, signed, tagged; then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar, cast

from registry.publish.examiner import Examiner
from registry.publish.plugins import Found, Plugin
from registry.publish.policy import Decision, Policy, decide
from registry.publish.signatures import Signer
from registry.signing.cosign import signature_tag
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import BlobUnknown, DigestInvalid, ManifestBlobUnknown, ManifestUnknown
from storage.files import failures_told
from storage.manifest import Descriptor, Manifest
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
    """What was acknowledged."""

    digest: Digest
    subject: Digest | None
    tags: tuple[str, ...]
    warnings: tuple[str, ...]


class Publisher:
    """Takes manifests in. `policy_of` says what holds for a repository."""

    def __init__(self, examiner: Examiner, signer: Signer, policy_of: Callable[[str], Policy]) -> None:
        self._examiner = examiner
        self._signer = signer
        self._policy_of = policy_of

    async def push(self, repository: Repository, push: Push) -> Receipt:
        """Take a manifest in; raises ManifestInvalid, ManifestBlobUnknown, DigestInvalid, StoreError.

        When it returns, the manifest, its plugin, its signature and its tags are in the store.
        """
        manifest = manifests.parse(push.body, push.content_type)
        digest = _named(push)
        policy = self._policy_of(repository.name)
        missing = await repository.missing(manifest)
        if missing and not policy.sparse:
            raise ManifestBlobUnknown([str(digest) for digest in missing])

        with failures_told(), self._examiner.spool() as module:
            decision, found = await self._judge(repository, manifest, digest, policy, module)
            # Nothing names these yet but digests, so they are written together.
            descriptor, signature, _ = await _together(
                repository.put(manifest, push.body, digest),
                self._sign(repository, digest, decision),
                self._keep(repository, digest, found, module),
            )
        if signature:
            await repository.tag(signature_tag(digest), signature)
        tags = push.tags if isinstance(push.reference, Digest) else (push.reference, *push.tags)
        for tag in dict.fromkeys(tags):
            await repository.tag(tag, descriptor)
        _log.info("pushed repository=%s digest=%s loads=%s", repository.name, digest, decision.loads)
        subject = manifest.subject.digest if manifest.subject else None
        return Receipt(digest, subject, push.tags, decision.warnings)

    async def _judge(
        self, repository: Repository, manifest: Manifest, digest: Digest, policy: Policy, module: BinaryIO
    ) -> tuple[Decision, Found | None]:
        """What the policy makes of the findings; the module goes to `module`. Raises ManifestInvalid."""
        try:
            found = await self._examiner.examine(repository, manifest, digest, module)
        except (BlobUnknown, ManifestUnknown) as absent:
            # Sparse: what is not here cannot be judged, and so is not signed.
            warnings = (f"not checked: {absent.message}",) if policy.mode != "off" else ()
            return Decision(loads=False, warnings=warnings), None
        if isinstance(found, Plugin):
            return decide(policy, found.findings, digest), found
        return Decision(loads=False), found

    async def _keep(
        self, repository: Repository, digest: Digest, found: Found | None, module: BinaryIO
    ) -> None:
        if found:
            await self._examiner.keep(repository, digest, found, module)

    async def _sign(self, repository: Repository, digest: Digest, decision: Decision) -> Descriptor | None:
        return await self._signer.store(repository, digest) if decision.loads else None


async def _together(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C]) -> tuple[A, B, C]:
    """What all three give. All have ended when one of their failures is raised: they share a file."""
    found = await asyncio.gather(first, second, third, return_exceptions=True)
    for failure in found:
        if isinstance(failure, BaseException):
            raise failure
    return cast(tuple[A, B, C], found)


def _named(push: Push) -> Digest:
    if isinstance(push.reference, str):
        return Digest.of(push.body)
    digest = Digest.of(push.body, push.reference.algorithm)
    if digest != push.reference:
        raise DigestInvalid(f"the manifest was pushed as {push.reference}, but hashes to {digest}.")
    return digest
