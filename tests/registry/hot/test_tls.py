"""The hot path over TLS, where the transport is another one: the same answers, and the same guards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.certificate import Certificate
from registry.hot.patience import Patience
from registry.hot.protocol import SLICE
from tests.registry.certificates import Authority
from tests.registry.hot.server import Client, Served, eventually, head, serving

LARGE = bytes(range(256)) * 24_000
PATIENT = Patience(linger_seconds=10, look_seconds=0.01)
Connect = Callable[..., Client]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[Served]:
    """A server that has patience, but for a reader that stalls for the seconds that a test names."""
    patience = replace(PATIENT, stall_seconds=getattr(request, "param", PATIENT.stall_seconds))
    files = authority.make("localhost")
    context = Certificate(files.certificate, files.key).context
    with serving(tmp_path, patience, ssl_context_factory=lambda *_: context) as served:
        served.app.add("/large", "large", LARGE)
        served.app.add("/small", "small", b"small")
        yield served


@pytest.fixture
def connect(served: Served, authority: Authority) -> Connect:
    def connect(receive_buffer: int | None = None) -> Client:
        plain = served.connect(receive_buffer)
        context = authority.client()
        # So that an end that TLS does not tell of is an error.
        return Client(
            context.wrap_socket(plain.sock, server_hostname="localhost", suppress_ragged_eofs=False)
        )

    return connect


def warm(served: Served, connect: Connect, *paths: str) -> None:
    for path in paths:
        with connect() as client:
            client.ask(path)
        eventually(lambda path=path: served.cache.find((path.encode(), "everybody")) is not None)  # type: ignore[misc]


def test_a_hit_has_the_bytes_of_the_slow_path(served: Served, connect: Connect) -> None:
    with connect() as client:
        for path in ("/small", "/large"):
            slow = client.ask(path)
            eventually(lambda path=path: served.cache.find((path.encode(), "everybody")) is not None)  # type: ignore[misc]
            assert client.ask(path) == slow
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().startswith(b"HTTP/1.1 400")
    assert served.cache.hits == 2


def test_pipelined_answers_come_in_order(served: Served, connect: Connect) -> None:
    warm(served, connect, "/small", "/large")
    paths = ["/large", "/small", "/missing", "/large", "/small"]
    with connect(4096) as client:
        for path in paths:
            client.send(head(path))
        bodies = [client.answer().partition(b"\r\n\r\n")[2] for _ in paths]
    assert bodies == [LARGE, b"small", b"no /missing", LARGE, b"small"]


@pytest.mark.parametrize("served", [1.5], indirect=True)
def test_who_reads_slowly_takes_little_memory_and_gets_every_byte(served: Served, connect: Connect) -> None:
    warm(served, connect, "/large")
    with connect(4096) as client:
        client.send(head("/large"))
        eventually(lambda: served.cache.hits == 1)
        (connection,) = served.server.server_state.connections
        end, held = time.monotonic() + 3, []
        while time.monotonic() < end:
            client.buffer += client.sock.recv(5_000)
            held.append(connection.transport.get_write_buffer_size())
            time.sleep(0.02)
        assert client.answer().endswith(LARGE)
    # Seen from here, what is just being encrypted may count twice.
    assert sorted(held)[len(held) // 2] <= SLICE + (64 << 10)


@pytest.mark.parametrize("served", [0.5], indirect=True)
@pytest.mark.parametrize("is_hot", [True, False])
def test_a_peer_that_does_not_read_is_dropped(served: Served, connect: Connect, is_hot: bool) -> None:
    if is_hot:
        warm(served, connect, "/large")
    with connect(4096) as client:
        client.send(head("/large"))
        eventually(lambda: served.cache.hits == 1 if is_hot else bool(served.app.asked))
        eventually(lambda: not served.server.server_state.connections)
        with pytest.raises(OSError):
            client.end()


def test_who_is_idle_and_says_no_good_bye_holds_up_no_end(tmp_path: Path, authority: Authority) -> None:
    files = authority.make("patient")
    context = Certificate(files.certificate, files.key).context
    patience = Patience(stall_seconds=60, look_seconds=0.01)
    with serving(tmp_path, patience, ssl_context_factory=lambda *_: context) as served:
        plain = served.connect()
        with Client(authority.client().wrap_socket(plain.sock, server_hostname="localhost")) as client:
            client.ask("/nowhere")
            eventually(lambda: served.connection.idle)
            served.stop()
            assert client.end() == b""


def test_an_answer_before_the_body_s_end_can_be_read(served: Served, connect: Connect) -> None:
    with connect() as client:
        client.send(head("/early", "PUT", b"Content-Length: 50000000\r\n"))
        client.send(bytes(1_000_000))
        assert client.answer().endswith(b"too large")


def test_parts_of_files_are_not_sent_by_the_kernel(served: Served, connect: Connect, tmp_path: Path) -> None:
    """It would send what nobody has encrypted."""
    served.app.parts["/part"] = (tmp_path / "part", 0, 1)
    with connect() as client:
        assert client.ask("/part").endswith(b"in memory")
