"""Fixtures of the real parts: docker, Envoys, an upstream, plugins. Servers of ours: `tests/conftest.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real import dockerd, envoy, published, upstream
from tests.real.dockerd import Docker
from tests.real.envoy import Envoy
from tests.real.published import Published
from tests.real.tools import require
from tests.registry.certificates import Authority


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """The docker command, with a daemon for the whole session."""
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    try:
        daemon = dockerd.start(folder)
    except BaseException:
        dockerd.remove(folder)
        raise
    try:
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture(name="upstream", scope="session")
def _upstream() -> Iterator[int]:
    """The port of a server that answers every GET."""
    with upstream.running() as port:
        yield port


@pytest.fixture(scope="session")
def plugins(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A server with plugins for whole meshes."""
    pushed = published.publish(tmp_path_factory.mktemp("published"), docker)
    try:
        yield pushed
    finally:
        pushed.server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whose certificates meshes are told to trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(name="envoy")
def _envoy(tmp_path: Path, upstream: int) -> Iterator[Callable[..., Envoy]]:
    """Start Envoys with a plugin: `envoy(code, registry="127.0.0.1:5000")`."""
    started: list[Envoy] = []

    def start(code: dict[str, Any], *, registry: str = "") -> Envoy:
        binary = require("envoy")
        started.append(envoy.start(binary, tmp_path, code, upstream=upstream, registry=registry))
        return started[-1]

    yield start
    for running in started:
        running.stop()
