"""What is promoted is what it was: other clients read it, and both generations of cosign verify it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.real import cosign, images, istio
from tests.real.process import environment, run, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.registry.commands import serving

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(name="distribution", scope="module")
def _distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a registry of another make, which has no referrers API."""
    with serving(tmp_path_factory.mktemp("distribution"), {}) as host:
        yield host


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public half of somebody's key; the other one is beside it."""
    return cosign.new_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(name="layout", scope="module")
def _layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of a plugin's image, whose digest is in its index.json."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    images.layout(folder, images.layer("plugin.wasm", require("plugin").read_bytes()))
    return folder


def promote(source: str, destination: str) -> dict[str, object]:
    done = succeed(
        sys.executable,
        *("-m", "registry", "promote", "--json", source, destination),
        env=environment(PYTHONPATH=str(ROOT)),
    )
    said: dict[str, object] = json.loads(done.out)
    return said


def crane(*words: str | Path) -> str:
    return succeed(require("crane"), *words, "--insecure").out


def private(key: Path) -> Path:
    return key.with_name("cosign.key")


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("way", ["out", "in", "within ours", "within theirs"])
def test_signatures_verify_where_it_was_promoted_to(
    way: str, generation: int, sidecargo: Sidecargo, distribution: str, key: Path, layout: Path
) -> None:
    ours = sidecargo.host
    hosts = {
        "out": (ours, distribution),
        "in": (distribution, ours),
        "within ours": (ours, ours),
        "within theirs": (distribution, distribution),
    }
    source, end = (f"{host}/promote/{uuid4().hex}" for host in hosts[way])
    crane("push", layout, f"{source}:v1")
    digest = crane("digest", f"{source}:v1").strip()
    signed = cosign.sign(f"{source}@{digest}", private(key), generation=generation)
    assert signed.code == 0, signed.said
    assert cosign.verify(f"{end}:prod", key, generation=generation).code != 0
    said = promote(f"{source}:v1", f"{end}:prod")
    assert said["pin"] == f"{end}@{digest}"
    for reference in (f"{end}:prod", f"{end}@{digest}"):
        verified = cosign.verify(reference, key, generation=generation)
        assert verified.code == 0, verified.said
    assert crane("manifest", f"{end}:prod") == crane("manifest", f"{source}:v1")
    if hosts[way][1] == ours and generation == 2:
        # What ours signed itself is there too.
        own = sidecargo.public_key(key.with_name("registry.pub"))
        assert cosign.verify(f"{end}:prod", own, generation=2).code == 0


def test_what_the_tag_names_is_what_the_agent_takes(
    sidecargo: Sidecargo, distribution: str, layout: Path, key: Path, tmp_path: Path
) -> None:
    """An index at the source, signed with its children: its digest is no pin, that of the copy is."""
    source, end = f"{distribution}/promote/{uuid4().hex}", f"{sidecargo.host}/promote/{uuid4().hex}"
    crane("push", layout, f"{source}:amd64")
    digest = crane("digest", f"{source}:amd64").strip()
    crane("index", "append", "-m", f"{source}:amd64", "-t", f"{source}:v1")
    index = crane("digest", f"{source}:v1").strip()
    assert index != digest
    assert cosign.sign(f"{source}@{index}", private(key), recursive=True).code == 0
    promote(f"{source}:v1", f"{end}:v1")
    assert crane("digest", f"{end}:v1").strip() == digest
    fetched = istio.fetch(f"oci://{end}:v1", tmp_path / "modules", checksum=digest.removeprefix("sha256:"))
    assert not fetched.error, fetched
    at_source = istio.fetch(f"oci://{source}:v1", tmp_path / "others", checksum=index.removeprefix("sha256:"))
    assert "does not match" in at_source.error
    assert cosign.verify(f"{end}@{digest}", key).code == 0


def test_a_promoted_image_is_whole(
    sidecargo: Sidecargo, distribution: str, layout: Path, tmp_path: Path
) -> None:
    source, end = f"{sidecargo.host}/promote/{uuid4().hex}", f"{distribution}/promote/{uuid4().hex}"
    crane("push", layout, f"{source}:v1")
    promote(f"{source}:v1", f"{end}:v1")
    assert run(require("crane"), "validate", "--insecure", "--remote", f"{end}:v1").code == 0
