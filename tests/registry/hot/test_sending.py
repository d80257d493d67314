"""Parts of files, over real connections: whole, in order, and not for ever."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.hot import sending
from registry.hot.patience import Patience
from tests.registry.hot.server import Served, eventually, head, serving

PATIENT = Patience(look_seconds=0.01)
TURN = 1 << 20
SIZE = 4 * TURN + 12_345
DATA = os.urandom(SIZE)


@pytest.fixture
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server that has patience, but for a reader that stalls for the seconds that a test names."""
    patience = replace(PATIENT, stall_seconds=getattr(request, "param", PATIENT.stall_seconds))
    monkeypatch.setattr(sending, "TURN", TURN)
    with serving(tmp_path, patience, send_buffer=64 << 10) as served:
        served.app.add("/hot", "hot", b"small")
        served.app.add("/large", "large", DATA[: 3 << 20])
        served.warm("/hot")
        eventually(lambda: not served.server.server_state.connections)
        yield served


def part(served: Served, path: str = "/part", offset: int = 0, count: int = SIZE, size: int = SIZE) -> str:
    """A path under which the application answers with a part of a file of so many bytes."""
    file = served.files.root / path[1:]
    file.write_bytes(DATA[:size])
    served.app.parts[path] = (file, offset, count)
    return path


def files_open() -> int:
    """How many files and connections this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("offset", [0, 1, 4_097, SIZE - 1], ids=str)
def test_a_part_has_every_byte_although_its_file_is_gone(served: Served, offset: int) -> None:
    path = part(served, offset=offset, count=SIZE - offset)
    with served.connect() as client:
        assert client.ask(path).endswith(b"\r\n\r\n" + DATA[offset:])
        assert not (served.files.root / "part").exists()
        assert client.ask("/hot").endswith(b"small"), "the connection serves on"


def test_answers_before_and_behind_it_keep_their_order(served: Served) -> None:
    paths = ["/large", part(served, "/first"), "/hot", part(served, "/second", 7, 100), "/large"]
    with served.connect(receive_buffer=64 << 10) as client:
        client.send(b"".join(map(head, paths)))
        time.sleep(0.1)  # so that something waits in the transport
        bodies = [client.answer().partition(b"\r\n\r\n")[2] for _ in paths]
    large = DATA[: 3 << 20]
    assert bodies == [large, DATA, b"small", DATA[7:107], large]


@pytest.mark.parametrize("served", [0.5], indirect=True)
def test_a_peer_that_does_not_read_is_dropped(served: Served) -> None:
    before = files_open()
    with served.connect(receive_buffer=4096) as client:
        client.send(head(part(served)))
        eventually(lambda: "GET /part" in served.app.asked)
        eventually(lambda: len(served.server.server_state.connections) == 0)
        eventually(lambda: files_open() == before + 1)
        with pytest.raises(ConnectionResetError):
            client.end()
    eventually(lambda: files_open() == before)
    assert served.app.errors == []


@pytest.mark.parametrize("served", [1.5], indirect=True)
def test_a_slow_reader_is_not_dropped(served: Served) -> None:
    with served.connect(receive_buffer=64 << 10) as client:
        client.send(head(part(served)))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.buffer += client.sock.recv(5_000)
            time.sleep(0.02)
        assert client.answer().endswith(DATA)


def test_a_peer_that_hangs_up_leaves_nothing_open(served: Served) -> None:
    before = files_open()
    with served.connect() as client:
        client.send(head(part(served)))
        client.sock.recv(1 << 20)
        eventually(lambda: files_open() > before + 2)
    eventually(lambda: files_open() == before)
    assert served.app.errors == []


def test_a_file_that_ends_too_early_ends_the_connection(served: Served) -> None:
    with served.connect() as client:
        client.send(head(part(served, size=3 << 20)))
        assert client.end().partition(b"\r\n\r\n")[2] == DATA[: 3 << 20]
    assert [type(error) for error in served.app.errors] == [EOFError]


def test_a_connection_that_was_fast_is_left_as_it_was(served: Served) -> None:
    """Idle ones are many, and what the kernel may hold for each is bounded."""
    with served.connect() as client:
        client.ask("/hot")
        ours = served.connection.transport.get_extra_info("socket")
        before = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        client.ask(part(served))
        client.ask("/hot")
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
