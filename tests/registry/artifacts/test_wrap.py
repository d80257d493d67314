from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from registry.artifacts.about import About
from registry.artifacts.wrap import wrapped
from storage import manifest as manifests
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST
from tests.real.process import succeed
from tests.real.tools import require
from tests.registry.artifacts.images import Layout

MODULE = b"\0asm\x01\0\0\0" + bytes(100_000)


def test_the_image_is_what_its_parts_say() -> None:
    with wrapped(io.BytesIO(MODULE), len(MODULE)) as image:
        packed = image.packed.read()
        manifest = manifests.parse(image.manifest, OCI_MANIFEST)
        config = json.loads(image.config)
        assert manifest.layers == (image.layer,)
        assert manifest.config is not None
        assert (manifest.config.digest, manifest.config.size) == (Digest.of(image.config), len(image.config))
        assert (image.layer.digest, image.layer.size) == (Digest.of(packed), len(packed))
        assert image.digest == Digest.of(image.manifest)
    unpacked = gzip.decompress(packed)
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["rootfs"] == {
        "type": "layers",
        "diff_ids": [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"],
    }
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        (entry,) = tar
        content = tar.extractfile(entry)
        assert content is not None
        assert (entry.name, entry.mode, entry.mtime, entry.uid, content.read()) == (
            "plugin.wasm",
            0o644,
            0,
            0,
            MODULE,
        )


def test_the_same_module_gives_the_same_bytes() -> None:
    with (
        wrapped(io.BytesIO(MODULE), len(MODULE)) as first,
        wrapped(io.BytesIO(MODULE), len(MODULE)) as second,
    ):
        assert first.manifest == second.manifest
        assert first.packed.read() == second.packed.read()
        first.packed.seek(0)
        head = first.packed.read(10)
        assert head[3:8] == bytes(5), "no name and no time in the gzip header"


def test_what_it_says_about_itself() -> None:
    about = About({"org.opencontainers.image.version": "1"}, {"team": "edge"})
    with (
        wrapped(io.BytesIO(MODULE), len(MODULE), about) as image,
        wrapped(io.BytesIO(MODULE), len(MODULE)) as bare,
    ):
        assert manifests.parse(image.manifest, OCI_MANIFEST).annotations == about.annotations
        assert json.loads(image.config)["config"] == {"Labels": {"team": "edge"}}
        assert image.layer == bare.layer
        assert "annotations" not in json.loads(bare.manifest)
        assert json.loads(bare.config)["config"] == {}


@pytest.mark.real
def test_umoci_unpacks_it(tmp_path: Path) -> None:
    layout = Layout()
    with wrapped(io.BytesIO(MODULE), len(MODULE)) as image:
        layout.blob(image.packed.read(), image.layer.media_type)
        layout.blob(image.config, "")
        folder = layout.named(layout.blob(image.manifest, OCI_MANIFEST), "v1").to(tmp_path / "layout")
    succeed(require("umoci"), "unpack", "--rootless", "--image", f"{folder}:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "plugin.wasm").read_bytes() == MODULE
