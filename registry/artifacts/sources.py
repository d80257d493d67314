"""Where an image's parts are read from: a layout, a registry (each an `inspect.Source`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from registry.artifacts.files import Files
from registry.client.remote import MAX_MANIFEST, Remote
from registry.console.failure import Failure
from registry.publish.inspect import Source
from storage.digest import Digest, hasher
from storage.manifest import Descriptor, Manifest

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """An image or index to judge; `digest` is what its registry would call it, None where that is open."""

    name: str
    manifest: Manifest
    digest: Digest | None
    source: Source


class LayoutSource:
    """The blobs of an OCI layout (image-spec, image-layout.md); each is checked against its digest."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest; Failure when it is missing or not what its digest says."""
        return self.read(descriptor)

    def read(self, descriptor: Descriptor) -> bytes:
        """A small blob, whole; Failure as for `manifest`."""
        with self._files.open(_path(descriptor)) as file:
            body = file.read(MAX_MANIFEST + 1)
        if len(body) > MAX_MANIFEST:
            raise Failure(f"{self._files.name}: {_path(descriptor)} is larger than any manifest.")
        if Digest.of(body, descriptor.digest.algorithm) != descriptor.digest:
            raise _damaged(self._files, descriptor)
        return body

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The bytes of a layer; Failure at the end when they are not what digest and size say."""
        running = hasher(descriptor.digest.algorithm)
        size = 0
        with self._files.open(_path(descriptor)) as file:
            while piece := file.read(CHUNK):
                running.update(piece)
                size += len(piece)
                yield piece
        if size != descriptor.size or running.hexdigest() != descriptor.digest.hex:
            raise _damaged(self._files, descriptor)


class RemoteSource:
    """The content of a repository in a registry."""

    def __init__(self, remote: Remote, repository: str) -> None:
        self._remote = remote
        self._repository = repository

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest; RemoteError when they cannot be had."""
        return self._remote.manifest(self._repository, descriptor.digest).body

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The bytes of a layer; RemoteError when they cannot be had."""
        for piece in self._remote.blob(self._repository, descriptor):
            yield piece


def _path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"


def _damaged(files: Files, descriptor: Descriptor) -> Failure:
    return Failure(
        f"{files.name}: {_path(descriptor)} is not what its digest and size say.", "Save the image anew."
    )
