"""The image: built from the Dockerfile on a base made here, run without rights, and the seed story on it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.real.dockerd import Docker
from tests.real.process import free_port
from tests.real.story import Story, tell
from tests.real.tools import ROOT, require
from tests.real.web import answers

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONTEXT = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml", "requirements.txt")
BASE = "sidecargo-base"
IMAGE = "sidecargo"


@dataclass(frozen=True, slots=True)
class Container:
    """A running container and the HOST:PORT where it answers."""

    name: str
    host: str


@pytest.fixture(scope="module")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built on a small Debian and from wheels, so that no step needs a network."""
    context = tmp_path_factory.mktemp("context")
    for name in CONTEXT:
        shutil.copy(ROOT / name, context)
    for name in ("registry", "storage"):
        shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(require("wheels"), context / "wheels")
    docker.succeed("import", require("base"), BASE)
    docker.succeed("build", "--network", "none", "--build-arg", f"BASE={BASE}", "--tag", IMAGE, context)
    return IMAGE


@pytest.fixture(scope="module")
def container(docker: Docker, image: str) -> Iterator[Container]:
    """The image's default command: read-only root, no capabilities, not root; it must exit 0 at the end."""
    port = free_port()
    settings = ("--env", "SIDECARGO_SERVER__HOST=127.0.0.1", "--env", f"SIDECARGO_SERVER__PORT={port}")
    limits = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    started = docker.succeed(
        "run", "--detach", "--network", "host", "--health-interval", "1s", *limits, *settings, image
    )
    running = Container(started.out.strip(), f"127.0.0.1:{port}")
    deadline = time.monotonic() + 120
    while not answers(f"http://{running.host}/v2/"):
        assert time.monotonic() < deadline, docker("logs", running.name).said
        time.sleep(0.1)
    yield running
    docker.succeed("stop", "--time", "35", running.name)
    code = docker.succeed("inspect", "--format", "{{.State.ExitCode}}", running.name).out.strip()
    assert code == "0", docker("logs", running.name).said


def test_it_is_not_root_and_names_its_port_and_volume(docker: Docker, image: str) -> None:
    config = json.loads(docker.succeed("inspect", image).out)[0]["Config"]
    assert config["User"] == "65532:65532"
    assert list(config["ExposedPorts"]) == ["5000/tcp"]
    assert list(config["Volumes"]) == ["/data"]


def test_it_adds_little_to_its_base(docker: Docker, image: str) -> None:
    base, whole = (json.loads(docker.succeed("inspect", name).out)[0]["Size"] for name in (BASE, image))
    assert whole - base < 130_000_000  # a third of it is wasmtime


def test_it_becomes_healthy(docker: Docker, container: Container) -> None:
    deadline = time.monotonic() + 120
    status = ""
    while status != "healthy":
        assert time.monotonic() < deadline, docker("inspect", container.name).said
        time.sleep(0.2)
        status = docker.succeed("inspect", "--format", "{{.State.Health.Status}}", container.name).out.strip()


def test_the_seed_story(docker: Docker, container: Container, upstream: int, tmp_path: Path) -> None:
    tell(Story(container.host, docker, upstream, tmp_path))


def test_other_commands_run_in_it(docker: Docker, image: str) -> None:
    shown = docker.succeed("run", "--rm", "--network", "none", "--read-only", image, "config", "show")
    assert yaml.safe_load(shown.out)["server"]["host"] == "0.0.0.0"


def test_compose_publishes_on_loopback_only() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["sidecargo"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
