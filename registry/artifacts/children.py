"""The images in an index, whatever platform each is for: Wasm has no CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from registry.console.failure import Failure, Refusal
from registry.consumers.attachments import is_attachment
from registry.publish.inspect import MAX_NESTED
from storage import manifest as manifests
from storage.errors import ManifestInvalid
from storage.manifest import Descriptor, Manifest

MAX_CHILDREN = 50
AGENTS = "linux/amd64"


@dataclass(frozen=True, slots=True)
class Child:
    """An image of an index; `descriptor` is None for an image that is in no index."""

    manifest: Manifest
    descriptor: Descriptor | None = None

    @property
    def platform(self) -> str:
        """What it is for; agents take a child without a platform for linux/amd64."""
        found = self.descriptor.platform if self.descriptor else None
        return str(found) if found else AGENTS


def children(manifest: Manifest, fetch: Callable[[Descriptor], bytes], name: str) -> tuple[Child, ...]:
    """The images of an index, the one that agents take first; attestations are none.

    Of an image manifest: itself alone. `fetch` gives a manifest's bytes, `name` is how errors call
    the index. Raises Failure for what cannot be read, Refusal for an index that is too large.
    """
    if not manifest.is_index:
        return (Child(manifest),)
    found: list[Child] = []
    level = [Child(manifest)]
    for _ in range(MAX_NESTED):
        entries = [entry for index in level for entry in index.manifest.manifests]
        if len(entries) + len(found) > MAX_CHILDREN:
            raise Refusal(f"{name} lists more than {MAX_CHILDREN} images.", "Name one by its digest.")
        read = [Child(_parsed(fetch(entry), entry, name), entry) for entry in entries if _is_image(entry)]
        found += [one for one in read if not one.manifest.is_index and not is_attachment(one.manifest)]
        level = [one for one in read if one.manifest.is_index]
    return tuple(sorted(found, key=lambda one: one.platform != AGENTS))


def _is_image(entry: Descriptor) -> bool:
    """buildx marks its attestations so."""
    return not (entry.platform and entry.platform.os == "unknown")


def _parsed(body: bytes, entry: Descriptor, name: str) -> Manifest:
    try:
        return manifests.parse(body, entry.media_type)
    except ManifestInvalid as error:
        raise Failure(f"{name}: {error.message}", error.fix) from None
