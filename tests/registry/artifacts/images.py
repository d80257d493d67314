"""Images made by hand, in the forms in which they lie on a disk."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.digest import Digest
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


def tar(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """A tar archive of these files and symbolic links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def layer(module: bytes) -> bytes:
    """A layer as docker packs it."""
    return gzip.compress(tar({"plugin.wasm": module}), mtime=0)


class Layout:
    """The files of an OCI layout."""

    def __init__(self) -> None:
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        digest = Digest.of(content)
        self.files[f"blobs/{digest.algorithm}/{digest.hex}"] = content
        return Descriptor(media_type, digest, len(content))

    def image(self, packed: bytes, media_type: str = OCI_LAYER) -> Descriptor:
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(b"{}", OCI_CONFIG).to_json(),
            "layers": [self.blob(packed, media_type).to_json()],
        }
        return self.blob(json.dumps(document).encode(), OCI_MANIFEST)

    def index(self, children: Mapping[str, Descriptor]) -> Descriptor:
        return self.blob(json.dumps(_index(children)).encode(), OCI_INDEX)

    def names(self, descriptor: Descriptor, **more: object) -> Layout:
        """Put a manifest into index.json."""
        self.entries.append(descriptor.to_json() | more)
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries}
        self.files["index.json"] = json.dumps(document).encode()
        return self

    def named(self, descriptor: Descriptor, name: str) -> Layout:
        return self.names(descriptor, annotations={"org.opencontainers.image.ref.name": name})

    def to(self, folder: Path) -> Path:
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder


def platform(text: str) -> dict[str, str]:
    system, architecture = text.split("/")
    return {"os": system, "architecture": architecture}


def _index(children: Mapping[str, Descriptor]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [child.to_json() | {"platform": platform(name)} for name, child in children.items()],
    }
