"""A module as an image that istio-agent, Envoy Gateway and every registry take: one OCI tar+gzip layer.

The same module, said the same about, gives the same bytes: a second push changes no digest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from registry.artifacts.about import About
from registry.consumers.istio import OCI_LAYER
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
FILE_NAME = "plugin.wasm"
_CHUNK = 1 << 20
# Smaller than the default's by some percent, and a plugin is pushed once and pulled often.
_LEVEL = 9
_NOTHING = About()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The three parts of an image; `packed` is the layer's content."""

    manifest: bytes
    config: bytes
    config_digest: Digest
    layer: Descriptor
    packed: BinaryIO

    @property
    def digest(self) -> Digest:
        """What the image is called."""
        return Digest.of(self.manifest)


@contextmanager
def wrapped(module: BinaryIO, size: int, about: About = _NOTHING) -> Iterator[Wrapped]:
    """Wrap the `size` bytes of a module; its layer is in a temporary file as long as the context is.

    `about` is what the image is to say about itself.
    """
    with tempfile.TemporaryFile() as packed:
        with gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0) as packing:
            unpacked = _Hashed(packing)
            entry = tarfile.TarInfo(FILE_NAME)  # mtime, uid and gid are 0, the mode is 0644
            entry.size = size
            with tarfile.open(
                fileobj=cast(BinaryIO, unpacked), mode="w|", format=tarfile.USTAR_FORMAT
            ) as tar:
                tar.addfile(entry, module)
        layer = Descriptor(OCI_LAYER, _digest_of(packed), packed.tell())
        config = _json(
            {
                "architecture": "amd64",
                "config": {"Labels": dict(about.labels)} if about.labels else {},
                "os": "linux",
                "rootfs": {"diff_ids": [f"sha256:{unpacked.hash.hexdigest()}"], "type": "layers"},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": Descriptor(CONFIG_TYPE, Digest.of(config), len(config)).to_json(),
                "layers": [layer.to_json()],
            }
            | ({"annotations": dict(about.annotations)} if about.annotations else {})
        )
        packed.seek(0)
        yield Wrapped(manifest, config, Digest.of(config), layer, packed)


class _Hashed:
    """Writes on, and hashes what it writes."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self._file.write(data)


def _digest_of(file: BinaryIO) -> Digest:
    file.seek(0)
    running = hashlib.sha256()
    while piece := file.read(_CHUNK):
        running.update(piece)
    return Digest("sha256", running.hexdigest())


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
