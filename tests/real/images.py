"""Images made by hand, as OCI layouts that clients push."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"


def layer(name: str, content: bytes) -> bytes:
    """A gzipped tar of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def config(layers: list[bytes]) -> bytes:
    """An image's config for linux/amd64."""
    diff_ids = [_digest(gzip.decompress(packed)) for packed in layers]
    return _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "COPY"} for _ in layers],
        }
    )


def manifest(config: bytes, layers: list[bytes]) -> bytes:
    """An OCI image manifest."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(OCI_CONFIG, config),
            "layers": [_descriptor(OCI_LAYER, packed) for packed in layers],
        }
    )


def layout(folder: Path, packed: bytes, tag: str = "v1") -> str:
    """Write an OCI layout of a one-layer image and return the digest of its manifest."""
    described = config([packed])
    body = manifest(described, [packed])
    _write(folder, [packed, described, body], _descriptor(OCI_MANIFEST, body), tag)
    return _digest(body)


def index_layout(folder: Path, packed: bytes, tag: str = "v1") -> tuple[str, str]:
    """Write what buildx pushes: an index of a one-layer image for linux/amd64 and its attestation.

    Returns the digests of the index and of the image's manifest.
    """
    described = config([packed])
    body = manifest(described, [packed])
    statement = _json({"_type": "https://in-toto.io/Statement/v0.1", "predicate": {}})
    nothing = config([])
    attestation = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(OCI_CONFIG, nothing),
            "layers": [_descriptor(IN_TOTO, statement)],
        }
    )
    about = {
        "vnd.docker.reference.digest": _digest(body),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                _descriptor(OCI_MANIFEST, body) | {"platform": {"architecture": "amd64", "os": "linux"}},
                _descriptor(OCI_MANIFEST, attestation)
                | {"annotations": about, "platform": {"architecture": "unknown", "os": "unknown"}},
            ],
        }
    )
    contents = [packed, described, body, statement, nothing, attestation, index]
    _write(folder, contents, _descriptor(OCI_INDEX, index), tag)
    return _digest(index), _digest(body)


def _write(folder: Path, contents: list[bytes], entry: dict[str, object], tag: str) -> None:
    """An OCI layout of these contents, in which the tag names what `entry` describes."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in contents:
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    named = entry | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(
        _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named]})
    )


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
