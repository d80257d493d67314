"""The story of a push: read, complete, judged, stored, signed, tagged; then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

from registry.consumers import attachments, istio
from registry.publish import plugins
from registry.publish.inspect import inspect
from registry.publish.plugins import Plugin
from registry.publish.policy import Decision, Policy, decide
from registry.publish.signatures import Signer
from registry.signing.cosign import signature_tag
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import CHUNK
from storage.errors import BlobUnknown, DigestInvalid, ManifestBlobUnknown, ManifestUnknown
from storage.files import failures_told
from storage.manifest import Descriptor, Manifest
from storage.repositories import Repository

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
    """Takes manifests in. `policy_of` says what holds for a repository; `spool` opens a temporary file."""

    def __init__(
        self, signer: Signer, policy_of: Callable[[str], Policy], spool: Callable[[], BinaryIO]
    ) -> None:
        self._signer = signer
        self._policy_of = policy_of
        self._spool = spool
        self._examining: dict[tuple[str, Digest], asyncio.Task[Plugin | None]] = {}

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

        with failures_told(), self._spool() as module:
            decision, plugin = await self._judge(repository, manifest, digest, policy, module)
            # Nothing names these yet but digests, so they are written together.
            descriptor, signature, _ = await asyncio.gather(
                repository.put(manifest, push.body, digest),
                self._sign(repository, digest, decision),
                self._keep(repository, digest, plugin, module),
            )
        if signature:
            await repository.tag(signature_tag(digest), signature)
        tags = push.tags if isinstance(push.reference, Digest) else (push.reference, *push.tags)
        for tag in dict.fromkeys(tags):
            await repository.tag(tag, descriptor)
        _log.info("pushed repository=%s digest=%s loads=%s", repository.name, digest, decision.loads)
        subject = manifest.subject.digest if manifest.subject else None
        return Receipt(digest, subject, push.tags, decision.warnings)

    async def plugin(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        """What is known of a manifest that is stored; None where it is no image or its parts are not here.

        Where no record of the rules of now is left, the image is taken apart again, once for all who ask.
        """
        known = plugins.from_record(await repository.derived.find(stored.digest))
        if known:
            return known
        key = (repository.name, stored.digest)
        task = self._examining.get(key)
        if task is None:
            task = asyncio.ensure_future(self._examine(repository, stored))
            self._examining[key] = task
            task.add_done_callback(lambda _: self._examining.pop(key))
        return await asyncio.shield(task)

    async def _examine(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        manifest = manifests.parse((await repository.get(stored.digest)).body, stored.media_type)
        if await _is_attachment(repository, manifest):
            return None
        with failures_told(), self._spool() as module:
            try:
                findings = await inspect(manifest, _Stored(repository), module, self._spool)
            except (BlobUnknown, ManifestUnknown):
                return None
            plugin = plugins.of(findings, stored.digest)
            await self._keep(repository, stored.digest, plugin, module)
        return plugin

    async def _judge(
        self, repository: Repository, manifest: Manifest, digest: Digest, policy: Policy, module: BinaryIO
    ) -> tuple[Decision, Plugin | None]:
        """What the policy makes of the findings; the module goes to `module`. Raises ManifestInvalid."""
        if await _is_attachment(repository, manifest):
            return Decision(loads=False), None
        plugin = await _known(repository, manifest, digest)
        if plugin is None:
            try:
                findings = await inspect(manifest, _Stored(repository), module, self._spool)
            except (BlobUnknown, ManifestUnknown) as absent:
                # Sparse: what is not here cannot be judged, and so is not signed.
                warnings = (f"not checked: {absent.message}",) if policy.mode != "off" else ()
                return Decision(loads=False, warnings=warnings), None
            plugin = plugins.of(findings, digest)
        return decide(policy, plugin.findings, digest), plugin

    async def _sign(self, repository: Repository, digest: Digest, decision: Decision) -> Descriptor | None:
        return await self._signer.store(repository, digest) if decision.loads else None

    async def _keep(
        self, repository: Repository, digest: Digest, plugin: Plugin | None, module: BinaryIO
    ) -> None:
        """Keep the module, then the record; of what was known before, the module is there already."""
        if plugin and plugin.module:
            await repository.derived.keep_bytes(plugin.module, plugin.size, _pieces(module))
        if plugin:
            await repository.derived.keep(digest, plugins.to_record(plugin))


async def _is_attachment(repository: Repository, manifest: Manifest) -> bool:
    """Whether a manifest is exempt by its content; an index, by what is stored of each of its children."""
    attached: set[Digest] = set()
    for child in manifest.manifests:
        try:
            stored = await repository.get(child.digest)
        except ManifestUnknown:
            return False
        if not attachments.is_attachment(manifests.parse(stored.body, stored.descriptor.media_type)):
            return False
        attached.add(child.digest)
    return attachments.is_attachment(manifest, lambda child: child.digest in attached)


async def _known(repository: Repository, manifest: Manifest, digest: Digest) -> Plugin | None:
    """What was found before in this manifest, or, for an index, in the child that it resolves to."""
    child = istio.child(manifest) if manifest.is_index else None
    judged = child.digest if isinstance(child, Descriptor) else digest
    plugin = plugins.from_record(await repository.derived.find(judged))
    if plugin and plugin.module and not await repository.derived.has_bytes(plugin.module, plugin.size):
        return None
    return plugin


class _Stored:
    """The parts of an image that are in a repository (an `inspect.Source`)."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def manifest(self, descriptor: Descriptor) -> bytes:
        return (await self._repository.get(descriptor.digest)).body

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        blob = await self._repository.blobs.open(descriptor.digest)
        async for piece in self._repository.blobs.read(blob):
            yield piece


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece


def _named(push: Push) -> Digest:
    if isinstance(push.reference, str):
        return Digest.of(push.body)
    digest = Digest.of(push.body, push.reference.algorithm)
    if digest != push.reference:
        raise DigestInvalid(f"the manifest was pushed as {push.reference}, but hashes to {digest}.")
    return digest
