from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.artifacts import unwrap
from registry.artifacts.packed import zstd
from registry.artifacts.targets import opened
from registry.artifacts.unwrap import unwrapped
from registry.console.failure import Failure, Refusal
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.registry.artifacts import images
from tests.registry.artifacts.images import OCI_CONFIG, OCI_LAYER, OCI_TAR, Layout

WASM = b"\0asm\x01\0\0\0"
OTHER = WASM + b"\0\2\1x"
ZSTD = OCI_TAR + "+zstd"
TITLE = "org.opencontainers.image.title"


class Made(Layout):
    """A layout in `folder`, of images with any layers."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def layers(
        self,
        *layers: tuple[str, bytes],
        title: str = "",
        config: tuple[str, Any] = (OCI_CONFIG, {}),
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """An image of these layers, each a type and its content."""
        said = {"annotations": {TITLE: title}} if title else {}
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(config[1]).encode(), config[0]).to_json(),
            "layers": [self.blob(content, kind).to_json() | said for kind, content in layers],
            "annotations": annotations or {},
        }
        return self.blob(json.dumps(document).encode(), OCI_MANIFEST)

    def take(self, image: Descriptor, *, file: str = "", platform: str = "") -> tuple[bytes, str]:
        """The module in an image, and where it was."""
        self.names(image).to(self.folder)
        return take(self.folder, file=file, platform=platform)


def take(path: Path, *, file: str = "", platform: str = "") -> tuple[bytes, str]:
    """The module in a file, and where it was."""
    with opened(str(path), unpack=True) as target, unwrapped(target, file=file, platform=platform) as taken:
        content = taken.module.read()
        assert len(content) == taken.size
        return content, taken.where


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "layout")


PLUGIN = images.tar({"plugin.wasm": WASM})

# name, the layers, where it was
TABLE = [
    ("the agents' own", [(OCI_LAYER, gzip.compress(PLUGIN))], "plugin.wasm from layer 1 of 1 (gzip)"),
    ("wasm-to-oci", [("application/vnd.wasm.content.layer.v1+wasm", WASM)], "x from layer 1 of 1"),
    ("wkg", [("application/wasm", WASM)], "x from layer 1 of 1"),
    ("oras push of a file", [(OCI_TAR, WASM)], "x from layer 1 of 1"),
    ("oras push of a packed file", [(OCI_TAR, gzip.compress(WASM))], "x from layer 1 of 1 (gzip)"),
    (
        "oras push of two",
        [("application/json", b"{}"), ("application/x", WASM)],
        "x from layer 2 of 2",
    ),
    ("zstd", [(ZSTD, zstd.compress(PLUGIN))], "plugin.wasm from layer 1 of 1 (zstd)"),
    ("a plain tar", [(OCI_TAR, PLUGIN)], "plugin.wasm from layer 1 of 1"),
    ("a type that lies", [(ZSTD, PLUGIN)], "plugin.wasm from layer 1 of 1"),
    (
        "COPY after it",
        [(OCI_LAYER, gzip.compress(PLUGIN)), (OCI_LAYER, gzip.compress(images.tar({"README": b""})))],
        "plugin.wasm from layer 1 of 2 (gzip)",
    ),
    (
        "another name",
        [(OCI_LAYER, gzip.compress(images.tar({"etc/x": b"", "opt/filter.wasm": WASM})))],
        "opt/filter.wasm from layer 1 of 1 (gzip)",
    ),
]


@pytest.mark.parametrize(("layers", "where"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_images(layers: list[tuple[str, bytes]], where: str, made: Made) -> None:
    assert made.take(made.layers(*layers, title="x")) == (WASM, where)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(WASM, "{}", id="a module"),
        pytest.param(gzip.compress(WASM), "{}", id="gzip"),
        pytest.param(zstd.compress(WASM), "{}", id="zstd"),
        pytest.param(PLUGIN, "plugin.wasm", id="tar"),
        pytest.param(gzip.compress(PLUGIN), "plugin.wasm", id="tar.gz"),
        pytest.param(zstd.compress(PLUGIN), "plugin.wasm", id="tar.zst"),
    ],
)
def test_files(content: bytes, where: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert take(path) == (WASM, where.format(path))


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, bytes], ids=["gzip", "zstd", "plain"])
def test_an_archive_of_a_layout_may_be_packed(pack: Any, made: Made, tmp_path: Path) -> None:
    made.names(made.layers((ZSTD, zstd.compress(PLUGIN))))
    path = tmp_path / "archive"
    path.write_bytes(pack(images.tar(made.files)))
    assert take(path) == (WASM, "plugin.wasm from layer 1 of 1 (zstd)")


def test_layers_of_docker_save(tmp_path: Path) -> None:
    saved = {
        "manifest.json": json.dumps(
            [{"Config": "c", "RepoTags": ["a:v1"], "Layers": ["one", "two"]}]
        ).encode(),
        "c": json.dumps({"config": {"Labels": {"a": "b"}}}).encode(),
        "one": PLUGIN,
        "two": images.tar({"README": b""}),
    }
    path = tmp_path / "save.tar"
    path.write_bytes(images.tar(saved))
    with opened(str(path), unpack=True) as target, unwrapped(target) as taken:
        assert taken.module.read() == WASM
        assert taken.where == "plugin.wasm from layer 1 of 2 (gzip)"
        assert taken.about.labels == {"a": "b"}


def test_what_an_image_says_about_itself_is_kept(made: Made) -> None:
    version = {"org.opencontainers.image.version": "1"}
    config = {"config": {"Labels": {"team": "edge"}}}
    made.names(made.layers(("application/wasm", WASM), annotations=version, config=(OCI_CONFIG, config)))
    with opened(str(made.to(made.folder))) as target, unwrapped(target) as taken:
        assert (taken.about.annotations, taken.about.labels) == (version, {"team": "edge"})


def test_a_config_that_is_missing_is_no_reason_to_fail(made: Made) -> None:
    image = made.layers(("application/wasm", WASM), config=(OCI_CONFIG, {"x": 1}), title="x")
    config = json.loads(made.files[f"blobs/sha256/{image.digest.hex}"])["config"]["digest"]
    del made.files[f"blobs/{config.replace(':', '/')}"]
    assert made.take(image) == (WASM, "x from layer 1 of 1")


class TestIndex:
    @pytest.mark.parametrize("platform", ["linux/arm64", "wasi/wasm", "linux/amd64"])
    def test_of_one_platform(self, platform: str, made: Made) -> None:
        index = made.index({platform: made.layers((OCI_TAR, PLUGIN))})
        assert made.take(index) == (WASM, "plugin.wasm from layer 1 of 1")

    def test_the_agents_platform_counts(self, made: Made) -> None:
        other = made.layers((OCI_TAR, OTHER))
        index = made.index({"linux/arm64": other, "linux/amd64": made.layers((OCI_TAR, PLUGIN))})
        assert made.take(index) == (WASM, "plugin.wasm from layer 1 of 1 of linux/amd64")

    def test_an_empty_one_for_it_does_not(self, made: Made) -> None:
        platforms = {"linux/amd64": made.layers((OCI_TAR, b"x")), "wasi/wasm": made.layers((OCI_TAR, PLUGIN))}
        assert made.take(made.index(platforms)) == (WASM, "plugin.wasm from layer 1 of 1 of wasi/wasm")

    def test_the_same_module_for_all(self, made: Made) -> None:
        platforms = {"linux/arm64": made.layers((ZSTD, zstd.compress(PLUGIN)))}
        platforms["linux/s390x"] = made.layers((OCI_TAR, PLUGIN))
        assert made.take(made.index(platforms)) == (
            WASM,
            "plugin.wasm from layer 1 of 1 (zstd) of linux/arm64",
        )

    def test_different_ones_are_asked_about(self, made: Made) -> None:
        platforms = {"wasi/wasm": made.layers((OCI_TAR, WASM)), "linux/arm64": made.layers((OCI_TAR, OTHER))}
        index = made.index(platforms)
        with pytest.raises(Refusal) as refusal:
            made.take(index)
        assert str(platforms["wasi/wasm"].digest) in refusal.value.message
        assert "as in --platform wasi/wasm" in refusal.value.message
        assert take(made.folder, platform="linux/arm64")[0] == OTHER
        with pytest.raises(Refusal, match="no image for linux/amd64"):
            take(made.folder, platform="linux/amd64")


class TestChoosing:
    @pytest.fixture
    def several(self, made: Made) -> Made:
        made.names(made.layers((OCI_TAR, images.tar({"a.wasm": WASM, "b/b.wasm": OTHER})))).to(made.folder)
        return made

    def test_several_are_named(self, several: Made) -> None:
        with pytest.raises(
            Refusal, match=r"several modules: a\.wasm, b/b\.wasm\. Choose one: --file a\.wasm"
        ):
            take(several.folder)

    @pytest.mark.parametrize("file", ["b/b.wasm", "/b/b.wasm", "b.wasm"])
    def test_one_is_chosen(self, several: Made, file: str) -> None:
        assert take(several.folder, file=file) == (OTHER, "b/b.wasm from layer 1 of 1")

    def test_one_that_is_not_there(self, several: Made) -> None:
        with pytest.raises(Refusal, match=r"holds no file c\.wasm"):
            take(several.folder, file="c.wasm")


def test_what_holds_no_module(made: Made) -> None:
    with pytest.raises(Refusal, match=r"holds no Wasm module, but bin/sh\. Push the \.wasm file itself"):
        made.take(made.layers((OCI_TAR, images.tar({"bin/sh": b"\x7fELF"}))))


def test_what_holds_nothing(made: Made) -> None:
    with pytest.raises(Refusal, match="holds no file, and so no Wasm module"):
        made.take(made.layers((OCI_TAR, images.tar({}))))


def test_names_from_elsewhere_cannot_write_to_the_terminal(made: Made) -> None:
    names = {"a\x1b[2J.wasm": WASM, "b.wasm": WASM}
    with pytest.raises(Refusal, match=r"a\?\[2J\.wasm, b\.wasm"):
        made.take(made.layers((OCI_TAR, images.tar(names))))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        pytest.param(PLUGIN[:515], "layer 1 of 1 cannot be read: .*EOF", id="tar"),
        pytest.param(gzip.compress(PLUGIN)[:40], "layer 1 of 1 cannot be read: gzip: ", id="gzip"),
    ],
)
def test_a_damaged_layer(layer: bytes, said: str, made: Made) -> None:
    with pytest.raises(Refusal, match=said):
        made.take(made.layers((OCI_TAR, layer)))


def test_a_blob_that_is_another(made: Made) -> None:
    image = made.layers((OCI_TAR, PLUGIN))
    layer = json.loads(made.files[f"blobs/sha256/{image.digest.hex}"])["layers"][0]["digest"]
    made.files[f"blobs/{layer.replace(':', '/')}"] = PLUGIN[:-1] + b"x"
    with pytest.raises(Failure, match="not what its digest and size say"):
        made.take(image)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(gzip.compress(images.tar({"a": bytes(1 << 20)})), id="a bomb"),
        pytest.param(images.tar({"a": bytes(1 << 20)}), id="a large layer"),
        pytest.param(zstd.compress(WASM + bytes(1 << 20)), id="a raw bomb"),
    ],
)
def test_no_more_than_the_limit(layer: bytes, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwrap, "MOST", 1 << 19)
    with pytest.raises(Refusal, match="holds more than"):
        made.take(made.layers((OCI_TAR, layer)))


def test_a_module_over_the_limit(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwrap, "LIMIT", len(WASM) - 1)
    with pytest.raises(Refusal, match=r"plugin\.wasm has 8 bytes; consumers take"):
        made.take(made.layers((OCI_TAR, PLUGIN)))
