"""Fixtures of all tests: a real server of ours, shared by a module or started with settings of one's own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from tests.real import seaweed, sidecargo
from tests.real.seaweed import Bucket, Seaweed
from tests.real.sidecargo import Sidecargo

LONGEST = ("replicas", "outages", "crash", "real", "storage/s3")
"""Folders whose tests take longest: they come first, so that nobody is left alone with one of them."""

# A busy machine is no finding.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the others stay in order."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        inside = item.path.relative_to(here).as_posix()
        return next(
            (at for at, folder in enumerate(LONGEST) if inside.startswith(f"{folder}/")), len(LONGEST)
        )

    items.sort(key=rank)


def pytest_configure() -> None:
    """A run that is told to end ends what it started; that hears SIGINT, which a shell's jobs do not."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        pytest.exit("terminated", returncode=pytest.ExitCode.INTERRUPTED)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(name="seaweed", scope="session")
def _seaweed() -> Iterator[Seaweed]:
    """A real S3 store for the whole session."""
    store = seaweed.start()
    try:
        yield store
    finally:
        store.end()


@pytest.fixture
def bucket(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of one's own, and the environment in which boto3 finds it."""
    made = seaweed.bucket()
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def s3_driver() -> Iterator[Callable[[S3Options], S3Driver]]:
    """Open drivers, which are closed at the end: `s3_driver(S3Options(bucket.name))`."""
    opened: list[S3Driver] = []

    def open_one(options: S3Options) -> S3Driver:
        opened.append(S3Driver(options))
        return opened[-1]

    yield open_one
    for driver in opened:
        driver.close()
