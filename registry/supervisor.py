"""Several processes that serve, and one that looks after them: uvicorn's supervisor, with a socket for each.

They are forked, so that what is loaded is loaded once, and one that died is replaced at once. A fork has no
thread but the one that makes it, so the supervisor has no other.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import signal
import socket
from collections.abc import Sequence

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS, Process

_FORK = multiprocessing.get_context("fork")

_log = logging.getLogger("sidecargo.server")


class Supervisor(Multiprocess):
    """A process for each listener; what waits at that of a dead one waits for the next."""

    processes: list[Process]
    failed = False  # a worker could not start

    def __init__(self, config: Config, listeners: Sequence[socket.socket]) -> None:
        super().__init__(config, [*listeners])

    def init_processes(self) -> None:
        """Start them all."""
        gc.collect()
        gc.freeze()  # what is loaded stays as it is, and its pages are shared
        self.processes = [_started(self.config, listener) for listener in self.sockets]

    def keep_subprocess_alive(self) -> None:
        """Replace those that died, or have said nothing for too long."""
        for at, listener in enumerate(self.sockets):
            process = self.processes[at]
            if self.should_exit.is_set() or process.is_alive(self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                _log.error("worker %d did not start: the server ends", process.pid)
                self.failed = True
                self.should_exit.set()
            elif not self.should_exit.is_set():
                self.processes[at] = _started(self.config, listener)

    def restart_all(self) -> None:
        """Replace one after the other, each when the next one serves."""
        for at, listener in enumerate(self.sockets):
            before, process = self.processes[at], _started(self.config, listener)
            if not process.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                process.kill()
                process.join()
                if not self.should_exit.is_set():
                    _log.error("worker %d was not ready in time: those of before serve on", process.pid)
                return
            self.processes[at] = process
            before.terminate()
            before.join()

    def handle_ttin(self) -> None:
        """Nothing: how many workers there are is a setting."""

    def handle_ttou(self) -> None:
        """Nothing: how many workers there are is a setting."""


class _Worker(Process):
    """uvicorn's, forked."""

    def __init__(self, config: Config, listener: socket.socket) -> None:
        super().__init__(config, [listener])
        self.process = _FORK.Process(target=self._serve, args=([listener],))  # type: ignore[assignment]

    def _serve(self, listeners: list[socket.socket]) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with contextlib.suppress(KeyboardInterrupt):
            self.target(listeners)


def _started(config: Config, listener: socket.socket) -> Process:
    process = _Worker(config, listener)
    # What is sent to the new process at once waits until it hears it by itself, not as its supervisor.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # Leave it its end of the pipe: the death of one that is asked how it is is heard at once then.
    process.child_conn.close()
    return process
