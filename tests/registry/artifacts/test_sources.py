from __future__ import annotations

from pathlib import Path

import pytest

from registry.artifacts.files import Folder
from registry.artifacts.sources import LayoutSource
from registry.console.failure import Failure
from storage.digest import Digest
from storage.manifest import Descriptor
from tests.registry.artifacts.images import Layout


async def _read(source: LayoutSource, descriptor: Descriptor) -> bytes:
    return b"".join([piece async for piece in source.blob(descriptor)])


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_what_is_read_is_what_the_digest_says(algorithm: str, tmp_path: Path) -> None:
    content = bytes(3 << 20)
    digest = Digest.of(content, algorithm)
    path = tmp_path / "blobs" / algorithm / digest.hex
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    source = LayoutSource(Folder(tmp_path))
    assert await _read(source, Descriptor("x", digest, len(content))) == content
    with pytest.raises(Failure, match="is not what its digest and size say"):
        await _read(source, Descriptor("x", digest, len(content) - 1))
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(Failure, match="is not what its digest and size say"):
        await _read(source, Descriptor("x", digest, len(content)))


async def test_manifests_are_checked_too(tmp_path: Path) -> None:
    made = Layout()
    descriptor = made.blob(b"{}", "x")
    source = LayoutSource(Folder(made.to(tmp_path)))
    assert await source.manifest(descriptor) == b"{}"
    (tmp_path / "blobs" / "sha256" / descriptor.digest.hex).write_bytes(b"{ }")
    with pytest.raises(Failure, match="is not what its digest and size say"):
        await source.manifest(descriptor)
    (tmp_path / "blobs" / "sha256" / descriptor.digest.hex).write_bytes(bytes(5 << 20))
    with pytest.raises(Failure, match="larger than any manifest"):
        await source.manifest(descriptor)
