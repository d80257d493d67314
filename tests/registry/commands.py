"""What the commands' tests share: a clean environment, a plugin, and a real registry of another make."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from urllib3.exceptions import HTTPError

from registry.cli.main import run
from tests.real.process import Process, environment, free_port
from tests.real.tools import require
from tests.real.web import answers, get
from tests.registry.wasm import binary

USER, PASSWORD = "alice", "open sesame"
# bcrypt of the password; distribution takes no other hash.
HTPASSWD = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"


_REAL = {"distribution", "guarded", "token_registry"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a real registry is marked so."""
    for item in items:
        if _REAL.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("SIDECARGO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


class Runner:
    """Runs the command line in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str | Path) -> Ran:
        self._capture.readouterr()
        code = run([str(word) for word in words])
        said = self._capture.readouterr()
        return Ran(code, said.out, said.err)


@pytest.fixture
def sidecargo(capsys: pytest.CaptureFixture[str]) -> Runner:
    """Run a command: `sidecargo("check", path)`."""
    return Runner(capsys)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A module that loads."""
    path = tmp_path / "plugin.wasm"
    path.write_bytes(binary.plugin())
    return path


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a real registry (CNCF distribution) that anybody may use."""
    with serving(tmp_path_factory.mktemp("distribution"), {}) as host:
        yield host


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of one that only USER with PASSWORD may use."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "htpasswd").write_text(f"{USER}:{HTPASSWD}\n")
    auth = {"htpasswd": {"realm": "here", "path": str(folder / "htpasswd")}}
    with serving(folder, auth) as host:
        yield host


def log_in(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> None:
    """Write what docker login would."""
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


@contextmanager
def serving(folder: Path, auth: dict[str, object]) -> Iterator[str]:
    """Run one on `folder`; `auth` is that part of its configuration."""
    host = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}, "level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "s"},
        "auth": auth,
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    command = [require("distribution"), "serve", folder / "config.yml"]
    process = Process(command, log=folder / "log", env=environment(OTEL_TRACES_EXPORTER="none"))
    try:
        url = f"http://{host}/v2/"
        process.wait_until(lambda: answers(url) or (bool(auth) and _challenges(url)))
        yield host
    finally:
        process.kill()


def _challenges(url: str) -> bool:
    try:
        return get(url).status == 401
    except HTTPError:
        return False
