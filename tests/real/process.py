"""Programs that tests start: each in its own process group, its output in a file, ended without a trace."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Word = str | Path

_CHANCE = random.SystemRandom()
_GIVEN = deque[int](maxlen=500)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now, and that these tests give to nobody else meanwhile.

    Nor does the kernel. Each process of the tests has every eighth; Envoy Gateway's are none of them.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        port = _CHANCE.randrange(10_000 + share, 32_000, 8)
        if port in _GIVEN or port // 1000 in (18, 19):
            continue
        _GIVEN.append(port)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without settings of Sidecargo's, and with `changes`.

    What is compiled is kept: servers are started very often.
    """
    left_out = ("SIDECARGO_", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)} | changes


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit code and all that it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def run(
    *command: Word,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    text: str | None = None,
    seconds: float = 120,
) -> Finished:
    """Run a command to its end, whatever its exit code."""
    done = subprocess.run(
        [str(word) for word in command],
        env=environment() if env is None else dict(env),
        cwd=folder,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def succeed(*command: Word, **options: object) -> Finished:
    """Run a command that must exit 0."""
    done = run(*command, **options)  # type: ignore[arg-type]
    assert done.code == 0, f"{' '.join(str(word) for word in command)} → {done.code}\n{done.said}"
    return done


class Process:
    """A program that goes on in the background."""

    def __init__(
        self,
        command: Sequence[Word],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in command],
                env=environment() if env is None else dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def said(self, last: int = 40) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-last:])

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 120) -> None:
        """Wait until `ready`; when the program ends before or the time is over, stop it and fail."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > deadline:
                why = f"is not ready after {seconds:g} s" if self.running else "has ended"
                self.kill()
                raise AssertionError(f"{self.name} {why}:\n{self.said()}")
            time.sleep(0.02)

    def stop(self, *, seconds: float = 35) -> int:
        """Ask it to end and return its exit code; what is left of its group is killed."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} ignores SIGTERM for {seconds:g} s:\n{self.said()}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
