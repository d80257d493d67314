"""Servers that are killed while eight writers push: what was acknowledged is there when they start again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash import history
from tests.crash.writer import Known, Writer
from tests.real import sidecargo
from tests.real.process import free_port
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry, eventually

KILLS = int(os.environ.get("SIDECARGO_KILLS", "0"))
"""How many kills `make soak` asks for; 0 in an ordinary run."""
WRITERS = 8
LONGEST = 1.2
"""Seconds that the writers have before a kill, at most."""


@dataclass
class History:
    """What all writers know of one repository."""

    registry: Registry
    known: list[Known] = field(default_factory=lambda: [Known() for _ in range(WRITERS)])
    acknowledged: int = 0

    def write(self, seed: int, during: Callable[[threading.Event, Callable[[], int]], None]) -> None:
        """Let the writers write for as long as `during` takes, which says when it begins to kill.

        It is told how much has been acknowledged until then.
        """
        over, dying = threading.Event(), threading.Event()
        writers = [
            Writer(number, self.registry, known, seed * WRITERS + number, over, dying)
            for number, known in enumerate(self.known)
        ]
        with ThreadPoolExecutor(WRITERS) as pool:
            writing = [pool.submit(writer.write) for writer in writers]
            try:
                during(dying, lambda: sum(writer.acknowledged for writer in writers))
            finally:
                over.set()
        for one in writing:
            one.result()
        self.acknowledged += sum(writer.acknowledged for writer in writers)

    def check(self, key: bytes) -> None:
        """All that was acknowledged is there and whole; what is in doubt is settled by a look."""
        history.check(self.registry, self.known, key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kills"), [(1, KILLS * 2 // 3 or 20), (2, KILLS // 3 or 10)], ids=["1 worker", "2 workers"]
)
def test_what_was_acknowledged_survives(tmp_path: Path, workers: int, kills: int) -> None:
    """Everything is killed, or one worker of two; writers go on with what they know."""
    chance, port = random.Random(f"{workers} {KILLS}"), free_port()
    writers = History(Registry(f"127.0.0.1:{port}", "t/shared"))

    def start() -> Sidecargo:
        return sidecargo.start(tmp_path, "--workers", str(workers), port=port)

    server = start()
    key = server.public_key(tmp_path / "key").read_bytes()
    try:
        for at in range(kills):
            is_whole = workers == 1 or chance.random() < 0.7

            def kill(
                dying: threading.Event,
                acknowledged: Callable[[], int],
                running: Sidecargo = server,
                is_whole: bool = is_whole,
                is_late: bool = at % 2 == 1,
            ) -> None:
                if is_late:  # however slow the machine is
                    eventually(lambda: acknowledged() > 0, 60)
                time.sleep(chance.uniform(0.02, LONGEST))
                dying.set()
                if is_whole:
                    running.process.kill()
                else:
                    os.kill(chance.choice(running.workers()), signal.SIGKILL)
                    time.sleep(chance.uniform(0.0, 0.5))

            writers.write(at, kill)
            if is_whole:
                server = start()
            assert server.public_key(tmp_path / "key").read_bytes() == key
            writers.check(key)
        assert writers.acknowledged >= kills // 2
        server.stop()
        settings = tmp_path / "settings.yaml"
        settings.write_text("timeouts: {uploads: 1s}\n")
        server = sidecargo.start(tmp_path, "--workers", str(workers), port=port, settings=settings)
        eventually(lambda: leftovers(tmp_path / "data") == [], 60)
        writers.check(key)
    finally:
        server.process.kill()
    assert "Traceback" not in server.process.said(10_000)


def leftovers(data: Path) -> list[str]:
    """What uploads and writers that died have left in a store; a server that runs has a folder of its own."""
    uploads = os.listdir(data / "uploads") if (data / "uploads").is_dir() else []  # noqa: PTH208
    temporary = os.listdir(data / "temp")  # noqa: PTH208
    return [*uploads, *(name for name in temporary if not name.startswith("metrics-"))]
