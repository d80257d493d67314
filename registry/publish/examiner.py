"""Examining what is stored: what the gate finds in a manifest of a repository, made once and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from registry.consumers import attachments, istio
from registry.publish import plugins
from registry.publish.inspect import inspect
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


class Examiner:
    """Takes images apart whose parts are in a repository. `spool` opens a temporary file."""

    def __init__(self, spool: Callable[[], BinaryIO]) -> None:
        self.spool = spool
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[tuple[str, Digest], asyncio.Task[Plugin | None]] = {}

    async def plugin(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        """What is known of a manifest that is stored; None where it is no image or its parts are not here.

        Where no record of the rules of now is left, the image is taken apart again, once for all who ask.
        """
        found = plugins.from_record(await repository.derived.find(stored.digest))
        if found:
            return found if isinstance(found, Plugin) else None
        key = (repository.name, stored.digest)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._again(repository, stored))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def examine(
        self, repository: Repository, manifest: Manifest, digest: Digest, module: BinaryIO
    ) -> Found:
        """What the gate finds in a manifest: by a record, else by taking it apart, its module to `module`.

        Raises BlobUnknown or ManifestUnknown where a part is not here.
        """
        if await _is_attachment(repository, manifest):
            return Attachment()
        known = await _known(repository, manifest, digest)
        if known:
            return known
        async with self._turns:
            findings = await inspect(manifest, _Stored(repository), module, self.spool)
        return plugins.of(findings, digest)

    async def keep(self, repository: Repository, digest: Digest, found: Found, module: BinaryIO) -> None:
        """Keep the module, then the record; of what was known before, the module is there already."""
        if isinstance(found, Plugin) and found.module:
            await repository.derived.keep_bytes(found.module, found.size, _pieces(module))
        await repository.derived.keep(digest, plugins.to_record(found))

    async def _again(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        manifest = manifests.parse((await repository.get(stored.digest)).body, stored.media_type)
        with failures_told(), self.spool() as module:
            try:
                found = await self.examine(repository, manifest, stored.digest, module)
            except (BlobUnknown, ManifestUnknown):
                return None
            await self.keep(repository, stored.digest, found, module)
        return found if isinstance(found, Plugin) else None


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


async def _is_attachment(repository: Repository, manifest: Manifest) -> bool:
    """Whether a manifest is exempt by its content; an index, by what was found of each of its children."""
    attached: set[Digest] = set()
    for digest in dict.fromkeys(child.digest for child in manifest.manifests):
        if not isinstance(plugins.from_record(await repository.derived.find(digest)), Attachment):
            return False
        attached.add(digest)
    return attachments.is_attachment(manifest, lambda child: child.digest in attached)


async def _known(repository: Repository, manifest: Manifest, digest: Digest) -> Plugin | None:
    """What was found before in this manifest, or, for an index, in the child that it resolves to."""
    child = istio.child(manifest) if manifest.is_index else None
    judged = child.digest if isinstance(child, Descriptor) else digest
    found = plugins.from_record(await repository.derived.find(judged))
    if not isinstance(found, Plugin):
        return None
    if found.module and not await repository.derived.has_bytes(found.module, found.size):
        return None
    return found


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece
