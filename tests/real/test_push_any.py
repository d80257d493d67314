"""`sidecargo push` mends whatever the tools make: istio-agent's own code loads what comes of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real import artifacts, images, istio
from tests.real.artifacts import MAKERS, Workshop
from tests.real.dockerd import Docker
from tests.real.process import Finished, Word, environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.registry.commands import serving

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def module() -> bytes:
    return require("plugin").read_bytes()


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a registry that takes whatever is pushed."""
    with serving(tmp_path_factory.mktemp("distribution"), {}) as host:
        yield host


@pytest.fixture
def shop(tmp_path: Path, anything: str, module: bytes) -> Workshop:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "config.json").write_text("{}")  # buildah insists on docker's
    return Workshop(tmp_path / "shop", anything, module)


def push(*words: Word, text: str | None = None) -> Finished:
    """Run `sidecargo push WORDS`."""
    return run(
        sys.executable, "-m", "registry", "push", *words, env=environment(PYTHONPATH=str(ROOT)), text=text
    )


def loads(reference: str, digest: str, module: bytes, folder: Path) -> None:
    """istio-agent takes it by tag and by digest, and it is this module."""
    name, _, _ = reference.rpartition(":")
    for url in (f"oci://{reference}", f"oci://{name}@{digest}"):
        fetched = istio.fetch(url, folder, checksum=digest.removeprefix("sha256:"))
        assert fetched.error == ""
        assert (fetched.sha256, fetched.digest) == (
            hashlib.sha256(module).hexdigest(),
            digest.removeprefix("sha256:"),
        )


@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__.replace("_", "-")) for make in MAKERS])
def test_what_agents_refuse_is_mended(
    make: Callable[[Workshop], str], shop: Workshop, sidecargo: Sidecargo, tmp_path: Path
) -> None:
    target = make(shop)
    if target.startswith(shop.registry):
        assert istio.fetch(f"oci://{target}", tmp_path / "before").error, "nothing is to be mended"
    reference = f"{sidecargo.host}/mended/{make.__name__}:v1"
    done = push("--json", target, reference)
    assert done.code == 0, done.said
    said = json.loads(done.out)
    assert said["did"].startswith("took ")
    loads(reference, said["digest"], shop.module, tmp_path / "after")


@pytest.mark.parametrize("form", ["file", "stdin", "reference"])
def test_docker_with_a_copy_after_the_plugins(
    form: str, docker: Docker, shop: Workshop, sidecargo: Sidecargo, tmp_path: Path
) -> None:
    made = artifacts.docker_image(shop, docker, save=form != "reference")
    reference = f"{sidecargo.host}/mended/docker-{form}:v1"
    if form == "stdin":
        # The command of the refusal: docker save IMAGE | sidecargo push - HOST/REPO:TAG
        pipe = 'exec "$0" -m registry push - "$2" < "$1"'
        env = environment(PYTHONPATH=str(ROOT))
        done = run("sh", "-c", pipe, sys.executable, made, reference, env=env)
    else:
        done = push(made, reference)
    assert done.code == 0, done.said
    assert done.out.startswith("took plugin.wasm from layer 1 of 2 (gzip)\n"), done.out
    (digest,) = [line.removeprefix("digest ") for line in done.out.splitlines() if line.startswith("digest ")]
    loads(reference, digest, shop.module, tmp_path / "after")


def test_labels_stay(shop: Workshop, sidecargo: Sidecargo) -> None:
    reference = f"{sidecargo.host}/mended/labels:v1"
    done = push(artifacts.buildah_zstd(shop), reference)
    assert done.code == 0, done.said
    config = json.loads(shop.run("crane", "config", reference).out)
    assert config["config"]["Labels"]["team"] == "edge"


@pytest.mark.parametrize("kind", ["image", "index with attestation"])
def test_what_loads_keeps_its_digest(kind: str, shop: Workshop, sidecargo: Sidecargo, tmp_path: Path) -> None:
    packed = images.layer("plugin.wasm", shop.module)
    if kind == "image":
        digest = images.layout(shop.folder / "made", packed)
    else:
        _, digest = images.index_layout(shop.folder / "made", packed)
    reference = f"{sidecargo.host}/kept/{kind[:5]}:v1"
    done = push(f"{shop.folder}/made:v1", reference)
    assert done.code == 0, done.said
    assert done.out.startswith("copied the image"), done.out
    loads(reference, digest, shop.module, tmp_path / "after")


def test_a_component_is_refused_with_what_to_do(shop: Workshop, sidecargo: Sidecargo) -> None:
    component = Workshop(shop.folder, shop.registry, b"\0asm\x0d\0\x01\0")
    done = push(artifacts.wkg(component), f"{sidecargo.host}/mended/component:v1")
    assert done.code == 1
    assert "it is a Wasm component" in done.err
