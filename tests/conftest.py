"""Fixtures of all tests: a real server of ours, shared by a module or started with settings of one's own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.real import sidecargo
from tests.real.sidecargo import Sidecargo


def pytest_configure() -> None:
    """A run that is told to end ends what it started, too."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        pytest.exit("terminated", returncode=143)

    signal.signal(signal.SIGTERM, leave)


@pytest.fixture(name="sidecargo", scope="module")
def _sidecargo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A server with the default settings; it must exit 0 at the end."""
    server = sidecargo.start(tmp_path_factory.mktemp("sidecargo"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Sidecargo]]:
    """Start servers with settings of one's own: `serve("--workers", "2", settings=FILE)`."""
    servers: list[Sidecargo] = []

    def start(*flags: str, settings: Path | None = None) -> Sidecargo:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(sidecargo.start(folder, *flags, settings=settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)
