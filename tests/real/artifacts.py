"""Artifacts that hold a plugin, as the tools make them that people have: none is what agents load."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.real import images
from tests.real.dockerd import Docker
from tests.real.process import Finished, Word, environment, succeed
from tests.real.tools import require
from tests.registry.artifacts.images import Layout

WASM_TO_OCI = ("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm")
WKG = ("application/vnd.wasm.config.v0+json", "application/wasm")
RAW = ("application/vnd.module.wasm.config.v1+json", "application/vnd.module.wasm.content.layer.v1+wasm")


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where artifacts are made: an empty folder, a registry that takes anything, the plugin."""

    folder: Path
    registry: str
    module: bytes

    def file(self, name: str, content: bytes | None = None) -> Path:
        """A file in the folder; the plugin when no content is given."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.module if content is None else content)
        return path

    def reference(self, name: str) -> str:
        """A name in the registry."""
        return f"{self.registry}/{name}:v1"

    def run(self, tool: str, *words: Word) -> Finished:
        """Run a tool in the folder, which is its home too."""
        home = str(self.folder)
        env = environment(HOME=home, DOCKER_CONFIG=home, STORAGE_DRIVER="vfs", XDG_RUNTIME_DIR=home)
        return succeed(require(tool), *words, env=env, folder=self.folder)

    def layout(self, *files: tuple[str, bytes]) -> Path:
        """An OCI layout of an image, tagged v1, with a layer for each file."""
        layers = [images.layer(name, content) for name, content in files]
        made = Layout()
        for packed in layers:
            made.blob(packed, images.OCI_LAYER)
        config = images.config(layers)
        made.blob(config, images.OCI_CONFIG)
        image = made.blob(images.manifest(config, layers), images.OCI_MANIFEST)
        return made.named(image, "v1").to(self.folder / "layout")


def oras_file(shop: Workshop) -> str:
    shop.file("plugin.wasm")
    shop.run("oras", "push", "--plain-http", shop.reference("oras-file"), "plugin.wasm")
    return shop.reference("oras-file")


def oras_packed_file(shop: Workshop) -> str:
    shop.file("main.wasm.gz", gzip.compress(shop.module))
    shop.run("oras", "push", "--plain-http", shop.reference("oras-packed"), "main.wasm.gz")
    return shop.reference("oras-packed")


def oras_folder(shop: Workshop) -> str:
    shop.file("dist/main.wasm")
    shop.file("dist/README.md", b"# A plugin")
    shop.run("oras", "push", "--plain-http", shop.reference("oras-folder"), "dist/")
    return shop.reference("oras-folder")


def oras_layout(shop: Workshop) -> str:
    shop.file("plugin.wasm")
    shop.run("oras", "push", "--oci-layout", f"{shop.folder}/made:v1", "plugin.wasm:application/wasm")
    return f"{shop.folder}/made:v1"


def one_raw_layer(shop: Workshop) -> str:
    shop.file("main.wasm")
    reference = shop.reference("one-raw-layer")
    shop.run("oras", "push", "--plain-http", reference, f"main.wasm:{RAW[1]}")
    return reference


def packed_raw_layer(shop: Workshop) -> str:
    shop.file("main.wasm", gzip.compress(shop.module))
    shop.file("config.json", b"{}")
    reference = shop.reference("packed-raw-layer")
    shop.run("oras", "push", "--plain-http", reference, f"config.json:{RAW[0]}", f"main.wasm:{RAW[1]}")
    return reference


def wasm_to_oci(shop: Workshop) -> str:
    return _by_hand(shop, "wasm-to-oci", *WASM_TO_OCI)


def wkg(shop: Workshop) -> str:
    return _by_hand(shop, "wkg", *WKG)


def _by_hand(shop: Workshop, name: str, config: str, layer: str) -> str:
    """A manifest with one raw layer, byte for byte as that tool writes it, brought in by crane."""
    made = Layout()
    body = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": made.blob(b"{}", config).to_json(),
        "layers": [made.blob(shop.module, layer).to_json()],
    }
    image = made.blob(json.dumps(body).encode(), images.OCI_MANIFEST)
    shop.run("crane", "push", made.names(image).to(shop.folder / name), shop.reference(name))
    return shop.reference(name)


def regctl_artifact(shop: Workshop) -> str:
    shop.file("main.wasm")
    shop.run("regctl", "registry", "set", shop.registry, "--tls", "disabled", "--skip-check")
    reference = shop.reference("regctl-artifact")
    kinds = ("--artifact-type", "application/vnd.acme.filter", "--file-media-type", "application/wasm")
    shop.run("regctl", "artifact", "put", *kinds, "--file", "main.wasm", reference)
    return reference


def regctl_zstd(shop: Workshop) -> str:
    return _regctl_packed(shop, "zstd")


def regctl_plain(shop: Workshop) -> str:
    return _regctl_packed(shop, "none")


def _regctl_packed(shop: Workshop, packing: str) -> str:
    layout = shop.layout(("plugin.wasm", shop.module))
    mod = ("image", "mod", f"ocidir://{layout}:v1", "--layer-compress", packing)
    shop.run("regctl", *mod, "--create", f"ocidir://{shop.folder}/{packing}:v1")
    return f"{shop.folder}/{packing}:v1"


def crane_layer_above(shop: Workshop) -> str:
    """The wasm layer is not last, and the last is no layer that holds it."""
    for name, content in (("plugin.wasm", shop.module), ("README.md", b"# A plugin")):
        shop.file(f"{name}.tar.gz", images.layer(name, content))
    layers = [word for name in ("plugin.wasm", "README.md") for word in ("--new_layer", f"{name}.tar.gz")]
    shop.run("crane", "append", *layers, "--new_tag", shop.reference("crane-above"))
    return shop.reference("crane-above")


def crane_arm(shop: Workshop) -> str:
    """The index of a laptop: arm64 only."""
    return _crane_index(shop, "crane-arm", "linux/arm64")


def crane_wasi(shop: Workshop) -> str:
    return _crane_index(shop, "crane-wasi", "wasi/wasm")


def _crane_index(shop: Workshop, name: str, platform: str) -> str:
    image = shop.reference(f"{name}-image")
    shop.run("crane", "push", shop.layout(("plugin.wasm", shop.module)), image)
    shop.run("crane", "mutate", image, "--set-platform", platform, "--tag", image)
    shop.run("crane", "index", "append", "--manifest", image, "--tag", shop.reference(name))
    return shop.reference(name)


def buildah_zstd(shop: Workshop) -> str:
    reference = shop.reference("buildah-zstd")
    push = ("push", "--compression-format", "zstd", "--tls-verify=false", _buildah(shop))
    shop.run("buildah", *_store(shop), *push, f"docker://{reference}")
    return reference


def buildah_archive(shop: Workshop) -> str:
    shop.run("buildah", *_store(shop), "push", _buildah(shop), f"docker-archive:{shop.folder}/saved.tar")
    return f"{shop.folder}/saved.tar"


def _buildah(shop: Workshop) -> str:
    """An image of its own store, with the plugin under another name."""
    shop.file("main.wasm")
    container = shop.run("buildah", *_store(shop), "from", "scratch").out.strip()
    shop.run("buildah", *_store(shop), "config", "--label", "team=edge", container)
    shop.run("buildah", *_store(shop), "copy", container, "main.wasm", "/opt/")
    shop.run("buildah", *_store(shop), "commit", "--rm", container, "acme/plugin")
    return "acme/plugin"


def _store(shop: Workshop) -> tuple[Word, ...]:
    return ("--root", shop.folder / "root", "--runroot", shop.folder / "run")


def umoci_arm(shop: Workshop) -> str:
    image = ("--image", f"{shop.folder}/made:v1")
    shop.run("umoci", "init", "--layout", "made")
    shop.run("umoci", "new", *image)
    shop.run("umoci", "config", "--architecture", "arm64", *image)
    shop.run("umoci", "insert", *image, shop.file("main.wasm"), "/etc/envoy/main.wasm")
    return f"{shop.folder}/made:v1"


def umoci_deleted(shop: Workshop) -> str:
    """An older module was there and is deleted, by a whiteout."""
    image = ("--image", f"{shop.folder}/layout:v1")
    shop.layout(("old.wasm", b"\0asm\x01\0\0\0"), ("new.wasm", shop.module))
    shop.run("umoci", "insert", *image, "--whiteout", "/old.wasm")
    return f"{shop.folder}/layout:v1"


def skopeo_zstd(shop: Workshop) -> str:
    reference = shop.reference("skopeo-zstd")
    source = f"oci:{shop.layout(('plugin.wasm', shop.module))}:v1"
    copy = ("copy", "--dest-compress-format", "zstd", "--dest-tls-verify=false")
    # What is packed already stays so, unless it is unpacked on the way.
    shop.run("skopeo", "--insecure-policy", "copy", "--dest-decompress", source, f"dir:{shop.folder}/dir")
    shop.run("skopeo", "--insecure-policy", *copy, f"dir:{shop.folder}/dir", f"docker://{reference}")
    return reference


def skopeo_archive(shop: Workshop) -> str:
    source = shop.layout(("plugin.wasm", shop.module), ("README.md", b"# A plugin"))
    shop.run(
        "skopeo", "--insecure-policy", "copy", f"oci:{source}:v1", f"oci-archive:{shop.folder}/made.tar:v1"
    )
    return f"{shop.folder}/made.tar"


def a_packed_file(shop: Workshop) -> str:
    return str(shop.file("main.wasm.gz", gzip.compress(shop.module)))


MAKERS: tuple[Callable[[Workshop], str], ...] = (
    oras_file,
    oras_packed_file,
    oras_folder,
    oras_layout,
    one_raw_layer,
    packed_raw_layer,
    wasm_to_oci,
    wkg,
    regctl_artifact,
    regctl_zstd,
    regctl_plain,
    crane_layer_above,
    crane_arm,
    crane_wasi,
    buildah_zstd,
    buildah_archive,
    umoci_arm,
    umoci_deleted,
    skopeo_zstd,
    skopeo_archive,
    a_packed_file,
)


def docker_image(shop: Workshop, docker: Docker, *, save: bool) -> Path | str:
    """An image of docker build whose COPY of the plugin is not the last one: saved, or pushed."""
    shop.file("plugin.wasm")
    shop.file("README.md", b"# A plugin")
    shop.file("Dockerfile", b"FROM scratch\nLABEL team=edge\nCOPY plugin.wasm .\nCOPY README.md .\n")
    reference = shop.reference("docker")
    docker.succeed("build", "--tag", reference, shop.folder)
    if save:
        docker.succeed("save", "--output", shop.folder / "saved.tar", reference)
        return shop.folder / "saved.tar"
    docker.succeed("push", reference)
    return reference
