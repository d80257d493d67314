"""Processes that serve: one here, or several under a supervisor, each on a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry import heap
from registry.supervisor import Supervisor

THREADS = 32
"""Threads of a process that wait for the disk."""

GRACE_SECONDS = 30
"""How long a process may take to end after SIGTERM: who started it kills it then."""

_FINISH_SECONDS = GRACE_SECONDS - 2
"""How much of that is for requests under way."""

BACKLOG = 4096
"""Connections that may wait to be accepted: a mesh that restarts comes all at once."""

MOST_FILES = 65_536
"""Files, connections among them, that a process has open at most, where the system lets it."""

FILES_OF_OURS = 512
"""How many of them are kept for what is stored, and for connections to a store."""

SEND_BUFFER = 128 << 10
"""Bytes of answers that the kernel holds for a connection (it doubles them for its own needs)."""

WORKER_SECONDS = 60
"""How long a worker may say nothing before it is replaced: on a busy machine it takes long to start."""

_log = logging.getLogger("sidecargo.server")

_KEEP_ALIVE_SECONDS = 120  # longer than Go's clients keep an idle connection (90 s): they close first


@dataclass(frozen=True, slots=True)
class Wired:
    """What a process serves with: the application, the protocol in front of it, and TLS where that is set."""

    app: Starlette
    protocol: type[HttpToolsProtocol]
    tls: ssl.SSLContext | None
    ending: Callable[[], None]
    """Told when the process hears the signal to end."""


Wire = Callable[[Any, int | None], Wired]
"""From settings and the supervisor's process, if there is one, to what serves."""


class Worker(uvicorn.Config):
    """What a process needs to serve; it is wired only in the one that serves."""

    def __init__(self, wire: Wire, settings: Any, workers: int) -> None:
        super().__init__(
            app="",
            workers=workers,
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whatever somebody pushed is what its type says, and no page or script.
            headers=[("X-Content-Type-Options", "nosniff")],
            proxy_headers=False,
            ws="none",
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_FINISH_SECONDS,
            timeout_worker_healthcheck=WORKER_SECONDS,
        )
        self._wire = wire
        self._supervisor = os.getpid() if workers > 1 else None
        self._settings = settings
        self._wired: Wired | None = None

    def load(self) -> None:
        """Make the application and its protocol, in the process that serves."""
        heap.give_back_large_blocks()
        _end_in_time(self._end)
        self._wired = wired = self._wire(self._settings, self._supervisor)
        self.app, self.http = wired.app, wired.protocol
        if (context := wired.tls) is not None:
            self.ssl_context_factory = lambda *_: context
        super().load()

    def _end(self) -> None:
        if self._wired is not None:
            self._wired.ending()


def listen(host: str, port: int, workers: int) -> list[socket.socket]:
    """A socket a worker that connections come in by; raises OSError where the address is taken or not ours.

    Of one socket for all, the first worker to wake up would take every connection that waits; to each
    of several the kernel gives its share.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Without SO_REUSEPORT, so that the address of another server of this user counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        port = probe.getsockname()[1]
    return [_listener(host, port, family, shared=workers > 1) for _ in range(workers)]


def _listener(host: str, port: int, family: socket.AddressFamily, *, shared: bool) -> socket.socket:
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    # Connections inherit it. The kernel would let each grow to megabytes, and a mesh has thousands.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return listener


def open_files() -> int:
    """Let this process have as many files open as it may, and as are of use; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft >= wanted:
        return soft
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def most_connections() -> int:
    """How many connections this process takes: files are left for what it stores."""
    files = open_files()
    return max(files - FILES_OF_OURS, files // 2)


def run(worker: Worker, listeners: Sequence[socket.socket]) -> bool:
    """Serve on bound sockets, one a worker, until SIGTERM or SIGINT; then finish what is under way.

    Whether it could.
    """
    if len(listeners) > 1:
        supervisor = Supervisor(worker, listeners)
        supervisor.run()
        return not supervisor.failed
    # uvicorn raises the signal again when it has finished; that must not end the process with it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(worker)
    server.run(sockets=[*listeners])
    return server.started


def _end_in_time(told: Callable[[], None]) -> None:
    """After the signal to end, tell it, and wait for no call that never ends: the store may hang."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_ending, signal.getsignal(number), told))


def _ending(then: Any, told: Callable[[], None], number: int, frame: FrameType | None) -> None:
    told()
    last = threading.Timer(GRACE_SECONDS, _leave)
    last.daemon = True
    last.start()
    then(number, frame)


def _leave() -> None:
    """End the process as it is: what was acknowledged is stored, and nothing else was promised."""
    _log.warning("left after %d s: calls to the store have not ended", GRACE_SECONDS)
    os._exit(0)


async def leave_with(parent: int) -> None:
    """End this worker when its supervisor has died without a word (SIGKILL): nobody would stop it."""
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def use_threads() -> None:
    """Give the running loop its threads for the disk."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "disk"))
