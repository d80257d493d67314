from __future__ import annotations

import io
from pathlib import Path

import pytest

from registry.artifacts import layout
from registry.artifacts.files import Archive, Folder
from registry.artifacts.sources import Image
from registry.console.failure import Failure
from storage.manifest import OCI_INDEX, OCI_MANIFEST
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout


def _image(made: Layout, folder: Path, wanted: str = "") -> Image:
    from_folder = layout.image(Folder(made.to(folder)), wanted)
    with Archive(io.BytesIO(images.tar(made.files)), "x.tar") as archive:
        assert layout.is_layout(archive)
        from_tar = layout.image(archive, wanted)
    assert (from_tar.digest, from_tar.manifest) == (from_folder.digest, from_folder.manifest)
    return from_folder


def test_the_only_image(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(b"x"))
    found = _image(made.named(image, "v1"), tmp_path)
    assert (found.digest, found.manifest.media_type) == (image.digest, OCI_MANIFEST)


def test_one_image_under_two_names_is_one(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(b"x"))
    assert _image(made.named(image, "v1").named(image, "v2"), tmp_path).digest == image.digest


def test_an_image_by_name(tmp_path: Path) -> None:
    made = Layout()
    one, two = made.image(images.layer(b"one")), made.image(images.layer(b"two"))
    made.named(one, "v1").names(two, annotations={"io.containerd.image.name": "docker.io/acme/plugin:v2"})
    assert _image(made, tmp_path, "v1").digest == one.digest
    assert _image(made, tmp_path, "docker.io/acme/plugin:v2").digest == two.digest
    with pytest.raises(Failure, match=r"several images\. Name one, as in .*:docker.io/acme/plugin:v2"):
        _image(made, tmp_path)
    with pytest.raises(Failure, match=r"no image named 'v3'; it has docker.io/acme/plugin:v2, v1"):
        _image(made, tmp_path, "v3")


def test_an_index(tmp_path: Path) -> None:
    made = Layout()
    index = made.index({"linux/amd64": made.image(images.layer(b"x"))})
    found = _image(made.names(index), tmp_path)
    assert (found.digest, found.manifest.media_type) == (index.digest, OCI_INDEX)


def test_platforms_without_names_are_one_image(tmp_path: Path) -> None:
    made = Layout()
    for name in ("linux/arm64", "linux/amd64"):
        made.names(made.image(images.layer(name.encode())), platform=images.platform(name))
    found = _image(made, tmp_path)
    assert found.manifest.is_index
    assert [str(child.platform) for child in found.manifest.manifests] == ["linux/arm64", "linux/amd64"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"index.json": b"{"},
            r": the layout is damaged, in index\.json: .*not JSON.* Save the image anew\.$",
        ),
        ({"index.json": b'{"schemaVersion":2,"manifests":[]}'}, "without an image"),
        ({"index.json": b"x" * (5 << 20)}, "not JSON"),
    ],
)
def test_a_broken_index_is_said(change: dict[str, bytes], said: str, tmp_path: Path) -> None:
    made = Layout()
    made.names(made.image(images.layer(b"x")))
    made.files.update(change)
    with pytest.raises(Failure, match=said):
        _image(made, tmp_path)


def test_a_manifest_that_is_damaged_or_missing_is_said(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(b"x"))
    made.names(image)
    path = f"blobs/sha256/{image.digest.hex}"
    made.files[path] += b" "
    with pytest.raises(Failure, match="is not what its digest and size say"):
        _image(made, tmp_path)
    del made.files[path]
    with pytest.raises(Failure, match="No such file"):
        layout.image(Folder(made.to(tmp_path / "other")))
