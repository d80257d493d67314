"""Examining what is stored: what the gate finds in a manifest of a repository, made once and kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, BinaryIO

from registry.consumers import attachments, istio
from registry.publish import plugins
from registry.publish.foresight import Foresight
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


@dataclass(frozen=True, slots=True)
class Examined:
    """What the gate found in a manifest; where it was taken apart, its module is in the file `module`."""

    found: Found
    module: BinaryIO | None = None


class Examiner:
    """Takes images apart whose parts are in a repository. `spool` opens a temporary file.

    `foresight` is told of layers that come; what it found in them is not looked for again.
    """

    def __init__(self, spool: Callable[[], BinaryIO]) -> None:
        self._spool = spool
        self.foresight = Foresight(spool)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[tuple[str, Digest], asyncio.Task[Plugin | None]] = {}

    async def plugin(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        """What is known of a manifest that is stored; None where it is no image or its parts are not here.

        Where no record of the rules of now is left, the image is taken apart again, once for all who ask.
        """
        found = plugins.from_record(await repository.derived.find(stored.digest))
        if found:
            return found if isinstance(found, Plugin) else None
        return await self._once(repository, stored.digest, lambda: self._again(repository, stored))

    async def has_module(self, repository: Repository, stored: Descriptor, plugin: Plugin) -> bool:
        """Whether the bytes of a plugin's module are to be had: what is gone is taken out again."""
        if plugin.module is None:
            return False
        if await repository.derived.has_bytes(plugin.module, plugin.size):
            return True
        again = await self._once(repository, stored.digest, lambda: self._again(repository, stored))
        return again is not None and again.module == plugin.module

    @contextlib.asynccontextmanager
    async def examined(
        self, repository: Repository, manifest: Manifest, digest: Digest, *, anew: bool = False
    ) -> AsyncIterator[Examined]:
        """What the gate finds in a manifest: by a record (unless `anew`), else by taking it apart.

        Raises BlobUnknown or ManifestUnknown where a part is not here, StoreError.
        """
        if await _is_attachment(repository, manifest):
            yield Examined(Attachment())
        elif not anew and (known := await _known(repository, manifest, digest)):
            yield Examined(known)
        else:
            async with self._turns:
                with failures_told(), self._spool() as module:
                    findings = await inspect(
                        manifest, _Stored(repository), module, self._spool, self.foresight.looked
                    )
                    yield Examined(plugins.of(findings, None if manifest.is_index else digest), module)

    async def _once(
        self, repository: Repository, digest: Digest, work: Callable[[], Coroutine[Any, Any, Plugin | None]]
    ) -> Plugin | None:
        key = (repository.name, digest)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _again(self, repository: Repository, stored: Descriptor) -> Plugin | None:
        manifest = manifests.parse((await repository.get(stored.digest)).body, stored.media_type)
        try:
            async with self.examined(repository, manifest, stored.digest, anew=True) as examined:
                await keep(repository, stored.digest, examined)
        except (BlobUnknown, ManifestUnknown):
            return None
        return examined.found if isinstance(examined.found, Plugin) else None


async def keep(repository: Repository, digest: Digest, examined: Examined) -> None:
    """Keep what was found: the module, where it was taken out, then the record that names it."""
    await keep_module(repository, examined)
    await note(repository, digest, examined.found)


async def note(repository: Repository, digest: Digest, found: Found) -> None:
    """Keep the record of what was found."""
    await repository.derived.keep(digest, plugins.to_record(found))


async def keep_module(repository: Repository, examined: Examined) -> None:
    """Keep the module that was taken out, if one was."""
    found, file = examined.found, examined.module
    if file and isinstance(found, Plugin) and found.module:
        await repository.derived.keep_bytes(found.module, found.size, _pieces(file))


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


async def _known(repository: Repository, manifest: Manifest, digest: Digest) -> Plugin | None:
    """What was found before in this manifest, or, for an index, in the child that it resolves to."""
    child = istio.child(manifest) if manifest.is_index else None
    judged = child.digest if isinstance(child, Descriptor) else digest
    found = plugins.from_record(await repository.derived.find(judged))
    return found if isinstance(found, Plugin) else None


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece
