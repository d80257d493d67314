"""The real server: the command `serve` in a process of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.real.process import Process, Word, environment, free_port
from tests.real.tools import ROOT
from tests.real.web import answers, get


@dataclass(frozen=True, slots=True)
class Sidecargo:
    """A running server: `host` as clients write it (127.0.0.1:PORT), its URL, its folder, its process.

    With an authority to `trust` it speaks TLS.
    """

    host: str
    folder: Path
    process: Process
    trust: Path | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.trust else 'http'}://{self.host}"

    def stop(self) -> None:
        """End it by SIGTERM; it must exit 0."""
        code = self.process.stop()
        assert code == 0, f"sidecargo exited {code}:\n{self.process.said()}"

    def workers(self) -> list[int]:
        """The processes that serve beside a supervisor."""
        first, found = self.process.pid, []
        command = Path(f"/proc/{first}/cmdline").read_bytes()
        for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                if Path(f"/proc/{child}/cmdline").read_bytes() == command:  # forked, and nothing else
                    found.append(int(child))
        return found

    def public_key(self, path: Path) -> Path:
        """Save the key that signatures verify with, as a user would, and return where it is."""
        answer = get(f"{self.url}/keys/cosign.pub")
        assert answer.status == 200, answer
        path.write_bytes(answer.body)
        return path


def start(
    folder: Path,
    *flags: Word,
    port: int | None = None,
    settings: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    trust: Path | None = None,
    within: Sequence[Word] = (),
) -> Sidecargo:
    """Start a server on `folder`/data at 127.0.0.1 and wait until it answers.

    `flags` go to `serve`, `settings` is a file for `--config`, `variables` are set for it; the log is
    `folder`/sidecargo.log. With TLS in the settings, `trust` is the authority. `within` is a command that
    runs another one as its own process.
    """
    port = port or free_port()
    command: list[Word] = [*within, sys.executable, "-m", "registry", "serve", "--port", str(port)]
    command += ["--storage", folder / "data", *flags]
    if settings is not None:
        command += ["--config", settings]
    process = Process(
        command,
        log=folder / "sidecargo.log",
        folder=folder,
        env=environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", **variables),
    )
    server = Sidecargo(f"127.0.0.1:{port}", folder, process, trust)
    process.wait_until(lambda: answers(f"{server.url}/healthz", trust=trust))
    return server
