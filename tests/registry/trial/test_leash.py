"""The script that becomes a program with limits; a real process each time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.trial import leash

SHOW = """
import os, resource, sys
names = ("RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_CORE")
print([resource.getrlimit(getattr(resource, name))[0] for name in names], dict(os.environ))
"""


def command(*words: str, parent: int | None = None) -> list[str]:
    start = [sys.executable, "-I", "-S", leash.__file__, str(parent or os.getpid()), str(1 << 30), "7"]
    return [*start, *words]


def run(*words: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, parent=parent),
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_program_has_limits_and_no_more_environment() -> None:
    # /usr/bin/env shows what came through exec; Python itself may add to it.
    assert run("/usr/bin/env").stdout == "PATH=/usr/bin:/bin\n"
    limits, _, _ = run(sys.executable, "-I", "-S", "-c", SHOW).stdout.partition("]")
    assert limits == f"[{1 << 30}, 7, {leash.LARGEST_FILE}, 0"


def test_memory_ends_at_the_limit() -> None:
    ran = run(sys.executable, "-I", "-S", "-c", "bytearray(2 << 30)")
    assert (ran.returncode, "MemoryError" in ran.stderr) == (1, True)


def test_a_program_that_is_not_there() -> None:
    ran = run("/none/such")
    assert (ran.returncode, ran.stderr) == (127, "/none/such: No such file or directory\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who the parent was")
def test_whose_parent_has_gone_does_not_start() -> None:
    ran = run("/bin/echo", "hello", parent=1 << 22)
    assert (ran.returncode, ran.stdout) == (1, "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends it with its parent")
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    # The parent says who its child is, and is killed.
    code = (
        "import os, subprocess, sys, time; "
        "child = subprocess.Popen([*sys.argv[1:4], sys.argv[4], str(os.getpid()), *sys.argv[6:]]); "
        f"time.sleep(1); open({str(told)!r}, 'w').write(str(child.pid)); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", code, *command("/bin/sleep", "1000")], timeout=60)
    assert parent.returncode == -9
    child = Path("/proc") / told.read_text()
    deadline = time.monotonic() + 30

    def lives() -> bool:
        try:
            return b"sleep" in (child / "cmdline").read_bytes()
        except OSError:
            return False

    while lives():
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
