"""Finding, starting and ending a program; what a real Envoy makes of it: `tests/real/test_check_run.py`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.trial import envoy
from registry.trial.envoy import Envoy, EnvoyMissing
from registry.trial.journal import Journal

Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A program made of lines of shell."""

    def write(lines: str) -> Path:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    return write


def start(binary: Path, folder: Path, journal: Journal, seconds: float = 30) -> Envoy:
    return Envoy(binary, folder, {}, journal, seconds)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for has no command left."""
    try:
        return not (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return True


def eventually_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.02)


def package(folder: Path, *, mode: int) -> Path:
    binary = folder / "envoy" / "_bin" / "envoy"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(mode)
    (folder / "envoy" / "__init__.py").write_text("raise RuntimeError('imported')")
    return binary


def test_the_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = package(tmp_path, mode=0o755)
    monkeypatch.syspath_prepend(tmp_path)
    assert envoy.find() == binary


def test_a_package_of_that_name_without_the_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, mode=0o644)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvoyMissing):
        envoy.find()


def test_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PACKAGE", "no_such_package")
    with pytest.raises(EnvoyMissing, match=r"^no Envoy is installed\.$"):
        envoy.find()


@pytest.mark.parametrize(
    ("said", "release"),
    [
        ("envoy  version: 9e558093/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("/a/b/envoy  version: 9e558093/1.41.3-dev/Modified/RELEASE/BoringSSL", "1.41.3"),
    ],
)
def test_its_release(said: str, release: str, script: Script) -> None:
    assert envoy.version(script(f"echo; echo '{said}'")) == release


@pytest.mark.parametrize("lines", ["", "echo version 3", "exit 3"])
def test_a_program_that_is_no_envoy(lines: str, script: Script) -> None:
    with pytest.raises(EnvoyMissing, match="does not say which release of Envoy it is"):
        envoy.version(script(lines))


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissing, match="cannot be run: No such file or directory"):
        envoy.version(tmp_path / "none")


def test_its_log_is_read_to_the_end(script: Script, tmp_path: Path) -> None:
    journal = Journal("W")
    with start(script("echo out; echo err >&2; exit 3"), tmp_path, journal) as running:
        assert running.ports() is None
        assert running.ended == 3
    assert sorted(journal.stray) == ["err", "out"]


def test_the_end_of_the_block_ends_it_and_its_children(script: Script, tmp_path: Path) -> None:
    journal = Journal("W")
    # Both ignore SIGTERM; the child is a background job of the shell.
    binary = script("trap '' TERM; sleep 1000 & echo $! $$ > pids; wait")
    with start(binary, tmp_path, journal) as running:
        pids = tmp_path / "pids"
        while not (pids.exists() and pids.read_text().endswith("\n")):
            time.sleep(0.02)
        child, program = map(int, pids.read_text().split())
        assert running.ended is None
        assert os.getpgid(child) == program, "one group"
    eventually_gone(child)
    eventually_gone(program)


def test_what_is_raised_in_the_block_ends_it_too(script: Script, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), start(script("sleep 1000"), tmp_path, Journal("W")) as running:
        pid = running._process.pid
        raise KeyboardInterrupt
    eventually_gone(pid)


def test_the_time_is_over(script: Script, tmp_path: Path) -> None:
    with start(script("sleep 1000"), tmp_path, Journal("W"), seconds=0.2) as running:
        assert running.ports() is None
        assert (running.timed_out, running.ended) == (True, None)


def test_where_its_admin_interface_is(tmp_path: Path) -> None:
    assert envoy.admin_socket(tmp_path).parent == tmp_path
