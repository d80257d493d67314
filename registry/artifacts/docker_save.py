"""An image as `docker save` writes it (moby, image/spec), seen as `docker push` would push it."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

from registry.artifacts import layout
from registry.artifacts.files import Files
from registry.artifacts.sources import CHUNK, Image
from registry.client.remote import MAX_MANIFEST
from registry.console.failure import Failure
from registry.consumers.istio import DOCKER_LAYER
from storage.digest import Digest, hasher
from storage.manifest import DOCKER_MANIFEST, Descriptor, Manifest

MANIFEST = "manifest.json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_GZIP = b"\x1f\x8b"


def is_docker_save(files: Files) -> bool:
    """Whether it was written by docker."""
    return files.has(MANIFEST)


def image(files: Files, wanted: str, stack: ExitStack) -> Image:
    """The image of that name, or the only one; Failure when it is not clear which.

    With the containerd image store, an archive holds what will be pushed as an OCI layout. With
    the classic one it holds unpacked layers, also in its layout: the push packs them, and so does
    this, into temporary files that `stack` removes. What the push will call it is then open.
    """
    if layout.is_layout(files):
        as_layout = layout.image(files, wanted)
        if not any(descriptor.media_type.endswith(".tar") for descriptor in as_layout.manifest.layers):
            return as_layout
    entry = _entry(files, wanted)
    source = _Packed()
    config = source.add(files, str(entry.get("Config")), _CONFIG, stack)
    layers = tuple(source.add(files, str(name), DOCKER_LAYER, stack) for name in entry.get("Layers") or ())
    return Image(files.name, Manifest(DOCKER_MANIFEST, config=config, layers=layers), None, source)


class _Packed:
    """The parts of an image, as they would be pushed."""

    def __init__(self) -> None:
        self._files: dict[Digest, BinaryIO] = {}

    def add(self, files: Files, name: str, media_type: str, stack: ExitStack) -> Descriptor:
        packed = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        with files.open(name) as file:
            begin = file.read(len(_GZIP))
            file.seek(0)
            if media_type == DOCKER_LAYER and begin != _GZIP:
                with gzip.GzipFile("", "wb", 1, packed, mtime=0) as packing:
                    shutil.copyfileobj(file, packing, CHUNK)
            else:
                shutil.copyfileobj(file, packed, CHUNK)
        size = packed.tell()
        packed.seek(0)
        running = hasher("sha256")
        while piece := packed.read(CHUNK):
            running.update(piece)
        digest = Digest("sha256", running.hexdigest())
        self._files[digest] = packed
        return Descriptor(media_type, digest, size)

    async def manifest(self, descriptor: Descriptor) -> bytes:
        raise Failure(f"the image names the manifest {descriptor.digest}, which docker does not save.")

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        file = self._files[descriptor.digest]
        file.seek(0)
        while piece := file.read(CHUNK):
            yield piece


def _entry(files: Files, wanted: str) -> Mapping[str, Any]:
    with files.open(MANIFEST) as file:
        body = file.read(MAX_MANIFEST + 1)
    try:
        entries = [entry for entry in json.loads(body) if isinstance(entry, dict)]
    except (ValueError, TypeError, RecursionError):
        raise Failure(f"{files.name}: its {MANIFEST} is not docker's.", "Save the image anew.") from None
    names = sorted({str(tag) for entry in entries for tag in entry.get("RepoTags") or ()})
    found = [entry for entry in entries if not wanted or wanted in (entry.get("RepoTags") or ())]
    if len(found) == 1:
        return found[0]
    if wanted:
        count = f"{len(found)} images" if found else "no image"
        raise Failure(f"{files.name} has {count} named {wanted!r}; it has {', '.join(names) or 'no names'}.")
    if not found:
        raise Failure(f"{files.name} has no image.", "Save one by docker save.")
    raise Failure(
        f"{files.name} has several images.", f"Name one, as in {files.name}:{names[0] if names else 'TAG'}."
    )
