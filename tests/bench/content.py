"""What is pushed and pulled: a plugin's image, and a blob of a megabyte."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.bench import peers, wire
from tests.bench.peers import Peer
from tests.real import images

REPOSITORY = "bench/plugin"
ACCEPT = ", ".join(
    (images.OCI_MANIFEST, images.OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json")
)


@dataclass(frozen=True, slots=True)
class Content:
    """The module, its image's parts, and the blob; the paths are where every registry has them."""

    module: bytes
    packed: bytes
    config: bytes
    manifest: bytes
    blob: bytes

    @property
    def by_tag(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/v1"

    @property
    def by_digest(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/{wire.digest_of(self.manifest)}"

    @property
    def blob_path(self) -> str:
        return f"/v2/{REPOSITORY}/blobs/{wire.digest_of(self.blob)}"

    def push(self, peer: Peer, repository: str = REPOSITORY, *, authorization: str = "") -> None:
        """Give all of it to a registry."""
        with wire.connected(peer.host, authorization) as connection:
            for content in (self.packed, self.config, self.blob):
                wire.push_blob(connection, repository, content)
            wire.push_manifest(connection, repository, "v1", self.manifest)


def made() -> Content:
    """The plugin of the tests and a new blob; raises PartMissing."""
    module = peers.part("plugin").read_bytes()
    packed = images.layer("plugin.wasm", module)
    config = images.config([packed])
    return Content(module, packed, config, images.manifest(config, [packed]), os.urandom(1_000_000))


def renamed(module: bytes, name: str) -> bytes:
    """The module with a custom section of its own, which makes a push one of new content."""
    title = name.encode()[-100:]
    return module + bytes([0, len(title) + 1, len(title)]) + title
