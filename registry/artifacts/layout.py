"""An image in an OCI layout, a folder or a tar (image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Sequence

from registry.artifacts.files import Files
from registry.artifacts.sources import Image, LayoutSource
from registry.client.remote import MAX_MANIFEST
from registry.console.failure import Failure
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestInvalid
from storage.manifest import OCI_INDEX, Descriptor, Manifest

INDEX = "index.json"
_NAME = "org.opencontainers.image.ref.name"
# The whole name, where containerd and docker give the tag alone by the other.
_FULL_NAME = "io.containerd.image.name"


def is_layout(files: Files) -> bool:
    """Whether there is an OCI layout."""
    return files.has("oci-layout") and files.has(INDEX)


def image(files: Files, wanted: str = "") -> Image:
    """The image of that name, or the only one; Failure when it is not clear which.

    Several manifests without names are one image for several platforms, and judged as the index
    that they stand in.
    """
    with files.open(INDEX) as file:
        body = file.read(MAX_MANIFEST + 1)
    index = _parsed(files, INDEX, body, OCI_INDEX)
    found = _chosen(files, index.manifests, wanted)
    source = LayoutSource(files)
    if found is None:
        return Image(files.name, index, Digest.of(body), source)
    manifest = _parsed(files, str(found.digest), source.read(found), found.media_type)
    return Image(files.name, manifest, found.digest, source)


def _parsed(files: Files, name: str, body: bytes, media_type: str) -> Manifest:
    try:
        return manifests.parse(body, media_type)
    except ManifestInvalid as error:
        raise Failure(
            f"{files.name}: the layout is damaged, in {name}: {error.message}", "Save the image anew."
        ) from None


def _chosen(files: Files, found: Sequence[Descriptor], wanted: str) -> Descriptor | None:
    names = sorted({name for descriptor in found for name in _names(descriptor)})
    if wanted:
        named = {descriptor.digest: descriptor for descriptor in found if wanted in _names(descriptor)}
        if len(named) != 1:
            count = f"{len(named)} images" if named else "no image"
            has = ", ".join(names) or "no names"
            raise Failure(f"{files.name} has {count} named {wanted!r}; it has {has}.")
        return next(iter(named.values()))
    distinct = {descriptor.digest: descriptor for descriptor in found}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not distinct:
        raise Failure(f"{files.name} is an OCI layout without an image.")
    if names:
        raise Failure(f"{files.name} has several images.", f"Name one, as in {files.name}:{names[0]}.")
    return None


def _names(descriptor: Descriptor) -> tuple[str, ...]:
    return tuple(name for key in (_NAME, _FULL_NAME) if (name := descriptor.annotations.get(key)))
