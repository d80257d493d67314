"""Content for tests: manifests as bytes, and how they come into a repository."""

from __future__ import annotations

import json

from storage import manifest as manifests
from storage import paths
from storage.digest import Digest
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from storage.repositories import Repository, StoredManifest

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def described(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of content that is at hand."""
    return Descriptor(media_type, Digest.of(data), len(data))


def image(
    *layers: bytes,
    subject: Descriptor | None = None,
    kind: str = "",
    annotations: dict[str, str] | None = None,
) -> bytes:
    """An image manifest over these layers, with the config `{}`."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(b"{}", CONFIG_TYPE).to_json(),
        "layers": [described(layer, LAYER_TYPE).to_json() for layer in layers],
        **({"subject": subject.to_json()} if subject else {}),
        **({"artifactType": kind} if kind else {}),
        **({"annotations": annotations} if annotations else {}),
    }
    return json.dumps(document).encode()


def index(*children: Descriptor) -> bytes:
    """An index of these manifests."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [child.to_json() for child in children],
    }
    return json.dumps(document).encode()


async def put(repository: Repository, body: bytes, *tags: str) -> StoredManifest:
    """Store a manifest under its sha256 and let tags name it."""
    stored = await repository.put(manifests.parse(body, ""), body, Digest.of(body))
    for tag in tags:
        await repository.tag(tag, stored)
    return stored


async def put_blob(repository: Repository, data: bytes) -> Digest:
    """Store a blob as a large one is stored, however small: bytes that repositories share, and a link."""
    digest = Digest.of(data)
    await repository.blobs._driver.put(paths.blob(digest), data)
    await repository.blobs.link(digest, len(data))
    return digest


async def put_signature(repository: Repository, body: bytes, *blobs: bytes) -> StoredManifest:
    """Store a manifest and its blobs as a signature is stored."""
    await repository.blobs.enclose(*blobs)
    return await repository.store_beside(OCI_MANIFEST, body)
