"""A supervisor and its workers, as an operator sees them: those that die, those that are slow, a restart."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.process import environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.registry.consumers.shapes import B
from tests.registry.talk import eventually, fresh

NEVER_STARTS = """\
import socket, sys
from registry import workers

def never(settings, supervisor):
    sys.exit(3)

listeners = workers.listen("127.0.0.1", 0, 2)
sys.exit(0 if workers.run(workers.Worker(never, None, 2), listeners) else 1)
"""


def test_a_worker_that_is_killed_while_it_is_asked_how_it_is_is_replaced_at_once(
    serve: Callable[..., Sidecargo],
) -> None:
    server = serve("--workers", "2")
    eventually(lambda: len(server.workers()) == 2)
    killed, *_ = server.workers()
    os.kill(killed, signal.SIGSTOP)
    time.sleep(2)  # it is asked twice a second
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and killed not in server.workers())


def test_a_worker_that_was_killed_is_replaced(serve: Callable[..., Sidecargo]) -> None:
    server = serve("--workers", "2")
    registry = fresh(server.host)
    registry.push(B)
    eventually(lambda: len(server.workers()) == 2)
    killed = server.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and not set(killed) & set(server.workers()))
    assert registry.get(f"{registry.base}/manifests/v1").body == B.body
    assert registry.push(B, "v2").status == 201


@pytest.mark.slow
def test_a_worker_that_is_slow_is_kept(serve: Callable[..., Sidecargo]) -> None:
    """uvicorn would replace one that says nothing for 5 s, as each that starts on a busy machine."""
    server = serve("--workers", "2")
    eventually(lambda: len(server.workers()) == 2)
    before = server.workers()
    os.kill(before[0], signal.SIGSTOP)
    time.sleep(8)
    os.kill(before[0], signal.SIGCONT)
    assert server.workers() == before


def test_sighup_replaces_workers_one_by_one_and_no_answer_is_lost(serve: Callable[..., Sidecargo]) -> None:
    server = serve("--workers", "2")
    registry = fresh(server.host)
    registry.push(B)
    eventually(lambda: len(server.workers()) == 2)
    before = server.workers()
    os.kill(server.process.pid, signal.SIGHUP)

    def replaced() -> bool:
        assert registry.get(f"{registry.base}/manifests/v1").body == B.body
        return len(server.workers()) == 2 and not set(before) & set(server.workers())

    eventually(replaced)


def test_the_supervisor_has_no_other_thread(serve: Callable[..., Sidecargo]) -> None:
    """What another thread holds while a worker is forked, that would wait for for ever."""
    server = serve("--workers", "2")
    eventually(lambda: len(server.workers()) == 2)
    assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1


def test_a_worker_that_cannot_start_ends_the_server() -> None:
    """The next one could not either."""
    said = run(sys.executable, "-c", NEVER_STARTS, env=environment(PYTHONPATH=str(ROOT)), seconds=20)
    assert said.code == 1
    assert said.err.endswith("did not start: the server ends\n")
