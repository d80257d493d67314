"""Examining what is stored: what the gate finds in a manifest of a repository, made once and kept.

A module is taken out of its image when its bytes are first asked for: agents that pull images need none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, BinaryIO, TypeVar

from registry.consumers import attachments, istio
from registry.consumers.istio import Form, Layer
from registry.publish import plugins
from registry.publish.foresight import Foresight
from registry.publish.here import Here
from registry.publish.inspect import Look, Looked, inspect
from registry.publish.plugins import Attachment, Found, Plugin
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import CHUNK
from storage.errors import BlobUnknown, ManifestUnknown
from storage.files import failures_told
from storage.manifest import Descriptor, Manifest
from storage.repositories import Repository

AT_ONCE = 4
"""Images that a process takes apart at a time: each may take half a GiB of the spool, and a core."""

T = TypeVar("T")


class Examiner:
    """Takes images apart whose parts are in a repository, by `look`. `spool` opens a temporary file.

    `foresight` is told of layers that come; what it found in them is not looked for again.
    """

    def __init__(self, look: Look, foresight: Foresight, spool: Callable[[], BinaryIO]) -> None:
        self.foresight = foresight
        self._look = look
        self._spool = spool
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._finding: dict[tuple[str, Digest], asyncio.Task[Plugin | None]] = {}
        self._taking_out: dict[tuple[str, Digest], asyncio.Task[bool]] = {}

    async def plugin(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        """What is known of a manifest that is stored; None where it is no image or its parts are not here.

        Where no record of the rules of now is left, the image is taken apart again, once for all who ask.
        """
        found = plugins.from_record(await repository.derived.find(stored.digest))
        if found:
            return found if isinstance(found, Plugin) else None
        key = (repository.name, stored.digest)
        return await _once(self._finding, key, lambda: self._found_anew(repository, stored))

    async def has_module(self, repository: Repository, stored: Descriptor, plugin: Plugin) -> bool:
        """Whether the bytes of a plugin's module are to be had: where they are not, they are taken out."""
        if plugin.module is None:
            return False
        if await repository.derived.has_bytes(plugin.module, plugin.size):
            return True
        key, module = (repository.name, stored.digest), plugin.module
        return await _once(self._taking_out, key, lambda: self._took_out(repository, stored, module))

    async def known(self, repository: Repository, manifest: Manifest, digest: Digest) -> Found | None:
        """What is known of a manifest by its own content, or by a record of what was found before."""
        if await _is_attachment(repository, manifest):
            return Attachment()
        return await _recorded(repository, manifest, digest)

    async def examine(self, repository: Repository, manifest: Manifest, digest: Digest) -> Found:
        """What is known of a manifest, else what the gate finds in it; raises as `take_apart` does."""
        known = await self.known(repository, manifest, digest)
        return known or await self.take_apart(repository, manifest, digest)

    async def foreseen(self, manifest: Manifest, digest: Digest) -> Plugin | None:
        """What the gate finds in an image whose layer was looked into when it came; None where it was not.

        Nothing is read, and so it is not known whether the repository has what the image names.
        """
        if manifest.is_index or attachments.is_attachment(manifest):
            return None
        with contextlib.suppress(_Unseen):
            findings = await inspect(manifest, _Nowhere(), _unseen, self.foresight.looked)
            return plugins.of(findings, digest)
        return None

    async def take_apart(
        self, repository: Repository, manifest: Manifest, digest: Digest, *, is_whole: bool = False
    ) -> Plugin:
        """What the gate finds in an image; `is_whole` says that all its parts were here just now.

        Raises BlobUnknown or ManifestUnknown where one is not, CheckFailed, StoreError.
        """
        stored = _Stored(repository)

        async def foreseen(layer: Layer) -> Looked | None:
            if not is_whole:  # whatever was uploaded elsewhere says nothing of this repository
                await stored.must_have(layer.descriptor)
            return await self.foresight.looked(layer)

        async with self._turns:
            findings = await inspect(manifest, stored, self._look, foreseen)
        return plugins.of(findings, None if manifest.is_index else digest)

    async def _found_anew(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        try:
            manifest = await _parsed(repository, stored)
            attached = await _is_attachment(repository, manifest)
            found = Attachment() if attached else await self.take_apart(repository, manifest, stored.digest)
        except (BlobUnknown, ManifestUnknown):
            return None
        await keep(repository, stored.digest, found)
        return found if isinstance(found, Plugin) else None

    async def _took_out(self, repository: Repository, stored: Descriptor, module: Digest) -> bool:
        """Take a module out of its image and keep it; whether that could be done."""
        try:
            async with self._turns:
                with failures_told(), self._spool() as file:
                    look = Here(file, self._spool)
                    found = await inspect(await _parsed(repository, stored), _Stored(repository), look)
                    if found.facts is None or found.facts.sha256 != module.hex:
                        return False
                    await repository.derived.keep_bytes(module, found.facts.size, _pieces(file))
        except (BlobUnknown, ManifestUnknown):
            return False
        return True


class _Unseen(Exception):
    """A layer would have to be read."""


class _Nowhere:
    """No parts at all (an `inspect.Source`)."""

    async def manifest(self, descriptor: Descriptor) -> bytes:
        raise _Unseen

    def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        raise _Unseen


async def _unseen(form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = 0) -> Looked:
    """Looks into nothing (an `inspect.Look`)."""
    raise _Unseen


async def keep(repository: Repository, digest: Digest, found: Found) -> None:
    """Keep the record of what was found."""
    await repository.derived.keep(digest, plugins.to_record(found))


class _Stored:
    """The parts of an image that are in a repository (an `inspect.Source`)."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def manifest(self, descriptor: Descriptor) -> bytes:
        return (await self._repository.get(descriptor.digest)).body

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        blob = await self._repository.blobs.open(descriptor.digest, ending=True)
        reader = self._repository.blobs.read(blob)
        try:
            async for piece in reader:
                yield piece
        finally:
            if isinstance(reader, AsyncGenerator):
                await reader.aclose()

    async def must_have(self, descriptor: Descriptor) -> None:
        """Raises BlobUnknown when the repository does not have it."""
        await self._repository.blobs.relink(descriptor.digest)


async def _once(
    under_way: dict[tuple[str, Digest], asyncio.Task[T]],
    key: tuple[str, Digest],
    work: Callable[[], Coroutine[Any, Any, T]],
) -> T:
    """What the work gives, which is done once for all who ask for it at the same time."""
    task = under_way.get(key)
    if task is None:
        task = asyncio.create_task(work())
        under_way[key] = task
        task.add_done_callback(lambda _: under_way.pop(key))
    return await asyncio.shield(task)


async def _parsed(repository: Repository, stored: Descriptor) -> Manifest:
    return manifests.parse((await repository.get(stored.digest)).body, stored.media_type)


async def _is_attachment(repository: Repository, manifest: Manifest) -> bool:
    """Whether a manifest is exempt by its content; an index, by what was found of each of its children."""
    attached: set[Digest] = set()
    for child in {child.digest: child for child in manifest.manifests}.values():
        if not await _was_attachment(repository, child):
            return False
        attached.add(child.digest)
    return attachments.is_attachment(manifest, lambda child: child.digest in attached)


async def _was_attachment(repository: Repository, child: Descriptor) -> bool:
    """By its record; where the rules are others since, an image by its own content."""
    if found := plugins.from_record(await repository.derived.find(child.digest)):
        return isinstance(found, Attachment)
    with contextlib.suppress(ManifestUnknown):
        stored = await repository.get(child.digest)
        manifest = manifests.parse(stored.body, stored.descriptor.media_type)
        return not manifest.is_index and attachments.is_attachment(manifest)
    return False


async def _recorded(repository: Repository, manifest: Manifest, digest: Digest) -> Plugin | None:
    """What was found before in this manifest, or, for an index, in the child that it resolves to."""
    child = istio.child(manifest) if manifest.is_index else None
    judged = child.digest if isinstance(child, Descriptor) else digest
    found = plugins.from_record(await repository.derived.find(judged))
    return found if isinstance(found, Plugin) else None


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece
