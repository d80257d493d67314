"""Processes that serve: one here, or several under uvicorn's supervisor, all over one listening socket."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

THREADS = 32
"""Threads of a process that wait for the disk."""

GRACE_SECONDS = 30
"""How long requests under way may take to finish after SIGTERM."""

BACKLOG = 4096
"""Connections that may wait to be accepted: a mesh that restarts comes all at once."""

UNSENT = 64 << 10
"""Bytes of an answer that the kernel takes before it has sent those before."""

_KEEP_ALIVE_SECONDS = 120  # longer than Go's clients keep an idle connection (90 s): they close first

Wire = Callable[[Any], tuple[Starlette, type[HttpToolsProtocol]]]


class Worker(uvicorn.Config):
    """What a process needs to serve; it crosses to a new process, and is wired only there."""

    def __init__(self, wire: Wire, settings: Any, workers: int) -> None:
        super().__init__(
            app="",
            workers=workers,
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._wire = wire
        self._settings = settings

    def load(self) -> None:
        """Make the application and its protocol, in the process that serves."""
        self.app, self.http = self._wire(self._settings)
        super().load()


def listen(host: str, port: int) -> socket.socket:
    """A socket that connections come in by; raises OSError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Connections inherit it: what is not sent yet stays with us and in the CPU's cache, not in the
    # kernel's buffers. What is on its way is not limited by it.
    listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", 25), UNSENT)
    return listener


def run(worker: Worker, listener: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT; then finish what is under way."""
    if worker.workers > 1:
        Multiprocess(worker, sockets=[listener]).run()
        return
    # uvicorn raises the signal again when it has finished; that must not end the process with it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(worker).run(sockets=[listener])


def use_threads() -> None:
    """Give the running loop its threads for the disk."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "disk"))
