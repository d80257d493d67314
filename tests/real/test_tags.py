"""An immutable tag, pushed to by the clients that people use: each fails once and shows its user why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real import images, sidecargo
from tests.real.dockerd import Docker
from tests.real.process import Finished, run, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A server whose tags v* are immutable."""
    folder = tmp_path_factory.mktemp("immutable")
    settings = folder / "settings.yaml"
    settings.write_text("tags: {immutable: [{repositories: '**', tags: ['v*']}]}\n")
    running = sidecargo.start(folder, settings=settings)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def modules() -> tuple[bytes, bytes]:
    """Two plugins that load: the same code, and with a custom section more."""
    module = require("plugin").read_bytes()
    return module, module + b"\0\x02\x01x"


@pytest.fixture
def layouts(tmp_path: Path, modules: tuple[bytes, bytes]) -> list[tuple[Path, str]]:
    """OCI layouts of two images, each tagged v1, and their digests."""
    folders = [tmp_path / f"layout-{number}" for number in range(2)]
    return [
        (folder, images.layout(folder, images.layer("plugin.wasm", module)))
        for folder, module in zip(folders, modules, strict=True)
    ]


def refused(server: Sidecargo, done: Finished, repository: str, digest: str) -> None:
    """The client failed, showed why, and asked once."""
    assert done.code != 0, done.said
    for words in ("the tag v1 is immutable", digest, "does not move. Push under a new tag."):
        assert words in done.said, done.said
    log = (server.folder / "sidecargo.log").read_text().splitlines()
    records = [json.loads(line) for line in log if line.startswith("{")]
    of_it = [record for record in records if record.get("repository") == repository]
    refusals = [record for record in of_it if record["verdict"] == "refused"]
    assert [(record["event"], record["problems"]) for record in refusals] == [("push", ["tag-immutable"])]


def by_crane(folder: Path, image: str) -> Finished:
    return run(require("crane"), "push", folder, image)


def by_skopeo(folder: Path, image: str) -> Finished:
    copy = ("copy", "--dest-tls-verify=false", f"oci:{folder}:v1", f"docker://{image}")
    return run(require("skopeo"), "--insecure-policy", *copy)


@pytest.mark.parametrize("push", [by_crane, by_skopeo])
def test_a_push_of_another_digest(
    server: Sidecargo, layouts: list[tuple[Path, str]], push: Callable[[Path, str], Finished]
) -> None:
    (first, digest), (second, _) = layouts
    repository = f"immutable/{push.__name__.replace('_', '-')}"
    image = f"{server.host}/{repository}:v1"
    for _ in range(2):
        assert push(first, image).code == 0
    refused(server, push(second, image), repository, digest)
    assert succeed(require("crane"), "digest", image).out.strip() == digest


def test_docker_shows_the_reason(
    server: Sidecargo, docker: Docker, modules: tuple[bytes, bytes], tmp_path: Path
) -> None:
    image = f"{server.host}/immutable/docker:v1"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY plugin.wasm ./plugin.wasm\n")
    digests = []
    for module in modules:
        (tmp_path / "plugin.wasm").write_bytes(module)
        docker.succeed("build", "--tag", image, tmp_path)
        if not digests:
            docker.succeed("push", image)
            digests.append(succeed(require("crane"), "digest", image).out.strip())
            docker.succeed("push", image)
    done = docker("push", image)
    refused(server, done, "immutable/docker", digests[0])
    assert "denied: the tag v1 is immutable" in done.said
    assert succeed(require("crane"), "digest", image).out.strip() == digests[0]
