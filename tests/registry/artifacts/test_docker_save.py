from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import Mapping
from contextlib import ExitStack

import pytest

from registry.artifacts import docker_save
from registry.artifacts.files import Archive
from registry.artifacts.sources import Image
from registry.console.failure import Failure
from storage.digest import Digest
from storage.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout

LAYER = images.tar({"plugin.wasm": b"x"})


def _entry(tag: str, *layers: str, config: str = "config.json") -> dict[str, object]:
    return {"Config": config, "RepoTags": [tag], "Layers": list(layers)}


def _saved(entries: object, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Archive:
    document = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    everything = {"manifest.json": document, "config.json": b"{}", **files}
    return Archive(io.BytesIO(images.tar(everything, links)), "x.tar")


async def _contents(image: Image) -> list[bytes]:
    return [b"".join([piece async for piece in image.source.blob(layer)]) for layer in image.manifest.layers]


async def test_unpacked_layers_are_packed_as_a_push_would() -> None:
    files = _saved(
        [_entry("a:v1", "one/layer.tar", "two/layer.tar")], {"one/layer.tar": LAYER, "two/layer.tar": b"y"}
    )
    with ExitStack() as stack:
        image = docker_save.image(files, "", stack)
        assert (image.digest, image.manifest.media_type) == (None, DOCKER_MANIFEST)
        packed = await _contents(image)
        assert [gzip.decompress(one) for one in packed] == [LAYER, b"y"]
        for layer, content in zip(image.manifest.layers, packed, strict=True):
            assert layer.media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"
            assert (layer.digest, layer.size) == (Digest.of(content), len(content))


async def test_a_layer_that_is_a_link_to_another_is_read() -> None:
    files = _saved(
        [_entry("a:v1", "two/layer.tar")], {"one/layer.tar": LAYER}, {"two/layer.tar": "../one/layer.tar"}
    )
    with ExitStack() as stack:
        assert [gzip.decompress(one) for one in await _contents(docker_save.image(files, "", stack))] == [
            LAYER
        ]


async def test_packed_layers_stay_as_they_are() -> None:
    packed = gzip.compress(LAYER, 1)
    with ExitStack() as stack:
        image = docker_save.image(_saved([_entry("a:v1", "l")], {"l": packed}), "", stack)
        assert await _contents(image) == [packed]


def _with_layout(packed: bytes, media_type: str) -> tuple[Archive, Layout]:
    made = Layout()
    descriptor = made.image(packed, media_type)
    made.named(descriptor, "v1")
    layer = f"blobs/sha256/{Digest.of(packed).hex}"
    return _saved([_entry("a:v1", layer)], made.files), made


async def test_the_layout_of_the_containerd_store_is_what_will_be_pushed() -> None:
    packed = images.layer(b"x")
    files, made = _with_layout(packed, images.OCI_LAYER)
    with ExitStack() as stack:
        image = docker_save.image(files, "", stack)
        assert str(image.digest) == made.entries[0]["digest"]
        assert image.manifest.media_type == OCI_MANIFEST
        assert await _contents(image) == [packed]


async def test_the_layout_of_the_classic_store_is_not() -> None:
    files, _ = _with_layout(LAYER, images.OCI_TAR)
    with ExitStack() as stack:
        image = docker_save.image(files, "", stack)
        assert (image.digest, image.manifest.media_type) == (None, DOCKER_MANIFEST)
        assert [gzip.decompress(one) for one in await _contents(image)] == [LAYER]


def test_an_image_by_name() -> None:
    files = _saved([_entry("a:v1", "one"), _entry("a:v2", "two")], {"one": b"1", "two": b"22"})
    with ExitStack() as stack:
        assert gzip.decompress(b"".join(_sync(docker_save.image(files, "a:v2", stack)))) == b"22"
        with pytest.raises(Failure, match=r"x\.tar has several images\. Name one, as in x\.tar:a:v1"):
            docker_save.image(files, "", stack)
        with pytest.raises(Failure, match=r"no image named 'a:v3'; it has a:v1, a:v2"):
            docker_save.image(files, "a:v3", stack)


def _sync(image: Image) -> list[bytes]:
    return asyncio.run(_contents(image))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (b"{", "manifest.json is not docker's"),
        (b"5", "manifest.json is not docker's"),
        ([], "has no image"),
        ([_entry("a:v1", "gone")], "has no file gone"),
        ([_entry("a:v1", config="../../etc/passwd")], "has no file ../../etc/passwd"),
    ],
)
def test_a_broken_archive_is_said(entries: object, said: str) -> None:
    with ExitStack() as stack, pytest.raises(Failure, match=said):
        docker_save.image(_saved(entries, {}), "", stack)
