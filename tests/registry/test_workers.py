"""Processes that serve, as an operator sees them: signals, workers that die, many connections at once."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry import workers
from tests.real import sidecargo
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import sha256
from tests.registry.consumers.shapes import B
from tests.registry.talk import Connection, Registry, eventually, fresh

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@WORKERS
def test_sigterm_lets_an_upload_finish_and_exits_0(tmp_path: Path, workers: str) -> None:
    server = sidecargo.start(tmp_path, "--workers", workers)
    registry = fresh(server.host)
    data, received = os.urandom(4 << 20), 3 << 20
    path = f"{registry.base}/blobs/uploads/?digest={sha256(data)}"
    exited: list[int] = []
    stopper = threading.Thread(target=lambda: exited.append(server.process.stop()))
    with Connection(server.host) as idle, Connection(server.host) as connection:
        assert idle.ask("GET", "/healthz").status == 200
        connection.send("POST", path, {"Content-Length": str(len(data))}, data[:received])
        eventually(lambda: largest(tmp_path / "data" / "temp") >= 1 << 20)
        stopper.start()
        assert idle.rest() == b"", "an idle connection is closed"
        eventually(lambda: refuses(server.host))
        connection.socket.sendall(data[received:])
        assert connection.answer().status == 201
    stopper.join()
    assert exited == [0]
    stored = tmp_path / "data" / "blobs" / "sha256" / sha256(data)[7:9] / sha256(data)[7:]
    assert stored.read_bytes() == data


def largest(folder: Path) -> int:
    """The bytes of the largest file of a folder in which some go."""
    sizes = [0]
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def refuses(host: str) -> bool:
    """Whether nobody listens any more."""
    try:
        with Connection(host, seconds=1) as connection:
            return connection.ask("GET", "/healthz").status != 200
    except (OSError, AssertionError):
        return True


@WORKERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_server_stops_at_once_without_a_word(
    tmp_path: Path, workers: str, number: signal.Signals
) -> None:
    server = sidecargo.start(tmp_path, "--workers", workers)
    before = server.process.said()
    with Connection(server.host) as idle:
        assert idle.ask("GET", "/healthz").status == 200
        os.kill(server.process.pid, number)
        eventually(lambda: not server.process.running)
    assert server.process.stop() == 0
    assert server.process.said() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_who_comes_after_the_signal_to_end_is_known(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    monkeypatch.setattr(
        workers, "threading", SimpleNamespace(Timer=lambda *_: SimpleNamespace(start=lambda: None))
    )
    wired = workers.Wired(Starlette(), HttpToolsProtocol, None, lambda: heard.append("the protocol"))
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        for one in before:
            signal.signal(one, lambda *_: heard.append("uvicorn"))
        workers.Worker(lambda *_: wired, None, 1).load()
        signal.raise_signal(number)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert heard == ["the protocol", "uvicorn"]


def test_connections_that_come_at_once_are_shared(serve: Callable[..., Sidecargo]) -> None:
    server = serve("--workers", "2")
    eventually(lambda: len(server.workers()) == 2)
    before = {pid: sockets(pid) for pid in server.workers()}
    connections = [Connection(server.host) for _ in range(64)]
    try:
        for connection in connections:
            connection.send("GET", "/healthz")
        for connection in connections:
            assert connection.answer().status == 200
        shares = [sockets(pid) - count for pid, count in before.items()]
    finally:
        for connection in connections:
            connection.socket.close()
    assert sum(shares) >= 60, shares
    # By chance alone, a worker of two gets fewer than 8 of 64 once in 10^10 times.
    assert min(shares) >= 8, shares


@WORKERS
def test_connections_are_not_limited_by_what_a_shell_begins_with(
    serve: Callable[..., Sidecargo], workers: str
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        server = serve("--workers", workers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with contextlib.ExitStack() as open_ones:
        connections = [open_ones.enter_context(Connection(server.host)) for _ in range(600)]
        for connection in connections:
            assert connection.ask("GET", "/healthz").status == 200


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += str(entry.readlink()).startswith("socket:")
    return found


@WORKERS
def test_workers_take_down_alike_what_was_done(serve: Callable[..., Sidecargo], workers: str) -> None:
    server = serve("--workers", workers)
    registry: Registry = fresh(server.host)
    registry.push(B)
    eventually(lambda: '"event": "push"' in server.process.said() and B.digest in server.process.said())


def test_workers_leave_with_their_supervisor(tmp_path: Path) -> None:
    """Also when it is killed: nobody else would stop them, and the port would stay taken."""
    server = sidecargo.start(tmp_path, "--workers", "2")
    eventually(lambda: len(server.workers()) == 2)
    workers = server.workers()
    os.kill(server.process.pid, signal.SIGKILL)
    try:
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    finally:
        server.process.kill()


@pytest.mark.parametrize(
    ("limits", "raised", "connections"),
    [
        ((1024, 4096), (4096, 4096), 3584),
        ((1024, resource.RLIM_INFINITY), (65_536, resource.RLIM_INFINITY), 65_024),
        ((600, 600), None, 300),
        ((100_000, 1 << 20), None, 99_488),
    ],
)
def test_connections_leave_files_for_the_store(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: tuple[int, int] | None, connections: int
) -> None:
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, said: now.append(said))
    assert workers.most_connections() == connections
    assert now[1:] == ([raised] if raised else [])
