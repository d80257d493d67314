"""What a program and all that it starts connect to, as the kernel is asked for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.real.process import Word, run
from tests.real.tools import missing, require

_TO = re.compile(r"sin6?_port=htons\((\d+)\).*?\"([0-9a-fA-F.:]+)\"")


@dataclass(frozen=True, slots=True)
class Traced:
    """The trace of a program that `command` runs as its own process."""

    file: Path

    @property
    def command(self) -> list[Word]:
        """What to write before a command; skips the test where no program may be traced."""
        strace = require("strace")
        tried = run(strace, "-f", "-o", self.file, "true")
        if tried.code != 0:
            missing(f"nothing can be traced here: {tried.said.strip()}")
        # -D: the program stays the process that was started. The filter stops it at these calls alone.
        calls = "trace=execve,connect,sendto,sendmsg,sendmmsg"
        return [strace, "-D", "-f", "--seccomp-bpf", "-s", "0", "-e", calls, "-o", self.file, "--"]

    @property
    def programs(self) -> int:
        """How many programs were begun."""
        return sum("execve(" in line for line in self._lines())

    @property
    def places(self) -> set[str]:
        """HOST:PORT of all that was called by the internet's protocols, whether it was there or not."""
        found = (_TO.search(line) for line in self._lines())
        return {f"{place[2]}:{place[1]}" for place in found if place}

    def _lines(self) -> list[str]:
        return self.file.read_text(errors="replace").splitlines()
