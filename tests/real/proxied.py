"""A gateway that a control plane configures: requests go through it and show what it has loaded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import urllib3

from tests.real.process import Process
from tests.real.web import Answer, get

Seen = Callable[[Answer], bool]


@dataclass(frozen=True, slots=True)
class Proxied:
    """A running gateway: the port for requests and the programs behind it, in the order of their start."""

    port: int
    processes: tuple[Process, ...]

    def get(self, path: str = "/one") -> Answer:
        """Send a request through."""
        return get(f"http://127.0.0.1:{self.port}{path}")

    def until(self, seen: Seen, wanted: str, *, seconds: float = 120) -> None:
        """Ask again and again until an answer is `seen`; fails with `wanted` and the ends of the logs."""
        deadline = time.monotonic() + seconds
        got: object = "nothing"
        while time.monotonic() < deadline:
            assert not self._ended(), f"ended: {self._ended()}\n{self.logs()}"
            try:
                got = answer = self.get()
                if seen(answer):
                    return
            except urllib3.exceptions.HTTPError as error:
                got = error
            time.sleep(0.05)
        raise AssertionError(f"no {wanted} within {seconds:g} s, but {got}\n{self.logs()}")

    def until_refused(self, seen: Seen, *words: str) -> None:
        """Wait until one of the programs has said why, all `words` in one line, and an answer is `seen`."""
        self.until(lambda answer: self.has_said(*words) and seen(answer), f"refusal with {words}")

    def until_ended(self, *, seconds: float = 120) -> None:
        """Wait until one of the programs has ended by itself."""
        deadline = time.monotonic() + seconds
        while not self._ended():
            assert time.monotonic() < deadline, f"none has ended within {seconds:g} s\n{self.logs()}"
            time.sleep(0.05)

    def has_said(self, *words: str) -> bool:
        """Whether one of the programs has said all of this in one line until now."""
        return self.times_said(*words) > 0

    def times_said(self, *words: str) -> int:
        """How many lines have all of this."""
        logs = (process.log.read_text(errors="replace") for process in self.processes)
        return sum(all(word in line for word in words) for log in logs for line in log.splitlines())

    def logs(self) -> str:
        """The end of what each program said."""
        return "\n".join(f"--- {process.log.stem}:\n{process.said()}" for process in self.processes)

    def _ended(self) -> list[str]:
        return [process.log.stem for process in self.processes if not process.running]

    def stop(self) -> None:
        """End the programs, the last started first."""
        with contextlib.ExitStack() as stack:
            for process in self.processes:
                stack.callback(process.stop)


def plain(answer: Answer) -> bool:
    """The upstream's answer, as no plugin has touched it."""
    return answer.status == 200 and "x-custom-header" not in answer.headers


def marked(answer: Answer) -> bool:
    """The upstream's answer with the plugin's header."""
    return answer.status == 200 and answer.headers.get("x-custom-header") == "custom-value"
