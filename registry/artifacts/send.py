"""Sending an image to a registry: one that was made here, or another's, byte for byte."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO, cast

from registry.artifacts.wrap import Wrapped
from registry.client.copying import taking
from registry.client.reference import Reference
from registry.client.remote import Remote, Stored
from registry.console.terminal import printable, progress
from registry.publish.inspect import Source
from storage import manifest as manifests
from storage.manifest import OCI_MANIFEST, Descriptor


def send(image: Wrapped, reference: Reference, remote: Remote) -> Stored:
    """Push an image that was made here, blobs before the manifest, with progress.

    Raises Refusal when the registry does not take it.
    """
    name = reference.repository
    with taking():
        _put(image.layer, image.packed, reference, remote)
        remote.put_blob(name, image.config_digest, len(image.config), BytesIO(image.config))
        return remote.put_manifest(name, str(reference.target), image.manifest, OCI_MANIFEST)


def copy(image: Descriptor, source: Source, reference: Reference, remote: Remote) -> Stored:
    """Push an image manifest of a source with all its blobs as they are, so that its digest stays.

    Raises Refusal as `send`, and what the source raises when a part cannot be read.
    """
    body = asyncio.run(_manifest(source, image))
    manifest = manifests.parse(body, image.media_type)
    for entry in {entry.digest: entry for entry in manifest.blobs()}.values():
        with taking():
            if remote.has_blob(reference.repository, entry.digest):
                continue
        with tempfile.TemporaryFile() as file:
            asyncio.run(_fetch(source, entry, cast(BinaryIO, file)))
            file.seek(0)
            with taking():
                _put(entry, cast(BinaryIO, file), reference, remote)
    with taking():
        return remote.put_manifest(reference.repository, str(reference.target), body, manifest.media_type)


def _put(entry: Descriptor, file: BinaryIO, reference: Reference, remote: Remote) -> None:
    with progress(f"pushing {printable(reference.repository, 60)}", entry.size) as advance:
        watched = _Watched(file, advance)
        remote.put_blob(reference.repository, entry.digest, entry.size, cast(BinaryIO, watched))
        advance(entry.size - watched.tell())  # what was there already is done too


async def _manifest(source: Source, entry: Descriptor) -> bytes:
    return await source.manifest(entry)


async def _fetch(source: Source, entry: Descriptor, into: BinaryIO) -> None:
    async for piece in source.blob(entry):
        into.write(piece)


class _Watched:
    """A file that tells how far it has been read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._advance(len(piece))
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int) -> int:
        # A request that is sent again begins anew, and so does its bar.
        self._advance(offset - self._file.tell())
        return self._file.seek(offset)
