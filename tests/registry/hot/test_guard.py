import gc
import json
import re
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from registry.hot.patience import Patience
from tests.registry.hot.server import Client, Served, eventually, head, serving, upload

LIMITS = Patience(head_bytes=4096, head_fields=20, linger_seconds=10, look_seconds=0.01)
PATIENT = Patience(min_rate=1_000, linger_seconds=60, look_seconds=0.01)
Start = Callable[..., Served]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all that leaves nothing behind, with small limits of size and long ones of time."""
    with serving(tmp_path_factory.mktemp("limited"), LIMITS) as served:
        served.app.add("/a", "a", b"body of a")
        yield served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, LIMITS) as served:
        served.app.add("/a", "a", b"body of a")
        yield served


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Start]:
    """A server that has patience but for what a test names: this process may rest at any point."""
    with ExitStack() as stack:

        def start(**limits: float) -> Served:
            served = stack.enter_context(serving(tmp_path, replace(PATIENT, **limits)))
            served.app.add("/a", "a", b"body of a")
            return served

        yield start


def refused(stream: bytes, status: int, after: int = 0) -> str:
    """The message of the refusal that ends `stream` behind `after` answers."""
    answers = re.split(rb"(?=HTTP/1\.1 \d)", stream)[1:]
    assert len(answers) == after + 1, stream
    lines, _, body = answers[-1].partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 %d " % status), stream
    assert b"\r\ndate: " in lines
    assert b"\r\nconnection: close" in lines
    (error,) = json.loads(body)["errors"]
    assert set(error) == {"code", "message"}
    return str(error["message"])


SMUGGLED = {
    "a length and chunks": head("/a", "POST", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
    + b"0\r\n\r\n",
    "chunks and a length": head("/a", "POST", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")
    + b"0\r\n\r\n",
    "two lengths": head("/a", "POST", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    "a signed length": head("/a", "POST", b"Content-Length: +5\r\n"),
    "a folded line": head("/a", extra=b"A: b\r\n c\r\n"),
    "bare LF": head("/a").replace(b"\r\n", b"\n"),
    "bare LF in the middle": head("/a", extra=b"A: b\nC: d\r\n"),
    "bare CR": head("/a", extra=b"A: b\rC: d\r\n"),
    "space before the colon": head("/a", extra=b"Content-Length : 5\r\n"),
    "NUL": head("/a", extra=b"A: b\0c\r\n"),
    "an unknown coding": head("/a", "POST", b"Transfer-Encoding: xchunked\r\n"),
    "no host": b"GET /a HTTP/1.1\r\nAccept: a\r\n\r\n",
    "two hosts": head("/a", extra=b"Host: there\r\n"),
    "no HTTP": b"\x16\x03\x01\x00\xa5",
    "a target beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: here\r\n\r\n",
}


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "hot"])
@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
def test_malformed_requests_are_refused_and_nothing_behind_them_is_heard(
    limited: Served, data: bytes, warm: bool
) -> None:
    limited.cache.drop((b"/a", "everybody"))
    limited.app.asked.clear()
    if warm:
        limited.warm("/a")
    with limited.connect() as client:
        client.send(data + head("/behind"))
        refused(client.end(), 400)
    assert "GET /behind" not in limited.app.asked


def test_http_1_0_needs_no_host(limited: Served) -> None:
    with limited.connect() as client:
        client.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert client.end().endswith(b"body of a")


HEADS_TOO_LARGE = {
    "a long line": head("/a", extra=b"A: " + b"b" * 5_000 + b"\r\n"),
    "a long line over many pieces": head("/a", extra=b"A: " + b"b" * 400_000 + b"\r\n"),
    "a long target": head("/" + "a" * 5_000),
    "many lines": head("/a", extra=b"A: b\r\n" * 20),
    "an endless line": head("/a", extra=b"A: ")[:-2] + b"b" * 400_000,
}


@pytest.mark.parametrize("data", HEADS_TOO_LARGE.values(), ids=HEADS_TOO_LARGE)
def test_a_head_over_the_limits_is_refused(limited: Served, data: bytes) -> None:
    limited.app.asked.clear()
    with limited.connect() as client:
        client.send(data)
        assert "4096 bytes or 20 fields" in refused(client.end(), 431)
    assert limited.app.asked == []


def test_heads_within_the_limits_pass_however_many_come_at_once(limited: Served) -> None:
    one = head("/a", extra=b"A: " + b"b" * 3_900 + b"\r\n")
    with limited.connect() as client:
        client.send(one * 50)
        assert [client.answer().endswith(b"body of a") for _ in range(50)] == [True] * 50
        client.send(head("/a", extra=b"A: b\r\n" * 19))
        assert client.answer().endswith(b"body of a")


def trickle(client: Client, data: bytes) -> bytes:
    """Send a byte at a time until an answer comes; the answer to its end."""
    client.sock.settimeout(0.01)
    for position in range(len(data)):
        client.send(data[position : position + 1])
        try:
            client.buffer += client.sock.recv(1 << 16)
            break
        except TimeoutError:
            continue
    client.sock.settimeout(10)
    return client.end()


def test_a_head_that_trickles_is_refused(hasty: Start) -> None:
    served = hasty(head_seconds=1)
    with served.connect() as client:
        refused(trickle(client, head("/a", extra=b"A: " + b"b" * 1_000 + b"\r\n")), 408)
    assert served.app.asked == []


def test_time_does_not_run_for_a_head_that_is_not_read(hasty: Start) -> None:
    served = hasty(head_seconds=1)
    with served.connect() as client:
        client.send(head("/wait") + head("/a") + b"GET /other HTTP/1.1\r\n")
        time.sleep(1.5)
        served.app.gate.set()
        assert client.answer().endswith(b"waited")
        client.send(b"Host: here\r\n\r\n")
        assert client.answer().endswith(b"body of a")
        assert client.answer().endswith(b"no /other")


def test_a_connection_that_asks_nothing_is_closed_without_a_word(hasty: Start) -> None:
    with hasty(head_seconds=0.1).connect() as client:
        assert client.end() == b""


def test_empty_lines_do_not_keep_a_connection(hasty: Start) -> None:
    with hasty(head_seconds=1).connect() as client:
        client.ask("/a")
        client.send(b"\r\n")
        assert client.end() == b""


@pytest.mark.parametrize("size", [1_000, None], ids=["length", "chunks"])
def test_a_body_that_trickles_is_refused_and_the_application_sees_the_client_go(
    hasty: Start, size: int | None
) -> None:
    served = hasty(rate_window=0.3)
    with served.connect() as client:
        client.send(upload(size))
        assert "body" in refused(trickle(client, b"x" * 900 if size else b"1\r\nx\r\n" * 900), 408)
        # While the connection lingers: the application need not wait for its end.
        eventually(lambda: served.app.received[-1:] == [{"type": "http.disconnect"}])
        assert len(served.protocol.watch) == 1


def test_time_does_not_run_while_the_application_does_not_ask(hasty: Start) -> None:
    served = hasty(rate_window=0.3)
    with served.connect() as client:
        client.send(upload(10, path="/ignores"))
        time.sleep(0.6)
        client.send(b"0123456789")
        served.app.gate.set()
        assert client.answer().endswith(b"\r\n\r\n10")


def test_a_steady_body_passes(hasty: Start) -> None:
    with hasty(rate_window=1).connect() as client:
        client.send(upload(60_000))
        for _ in range(60):
            client.send(bytes(1_000))
            time.sleep(0.03)
        assert client.answer().endswith(b"\r\n\r\n60000")


def test_an_answer_before_the_body_s_end_can_be_read(limited: Served) -> None:
    # Closed at once, the unread rest of the body would reset the connection under the answer.
    with limited.connect() as client:
        client.send(upload(50_000_000, path="/early"))
        client.sock.settimeout(0.2)
        sent = 0
        try:
            while sent < 8_000_000:
                sent += client.sock.send(bytes(100_000))
        except TimeoutError:
            pass
        client.sock.settimeout(10)
        assert client.end().endswith(b"too large")


def test_lingering_ends(hasty: Start) -> None:
    served = hasty(linger_seconds=0.5)
    with served.connect() as client:
        client.send(b"\0")
        refused(client.end(), 400)
        with pytest.raises(OSError):
            for _ in range(2_000):
                client.send(b"x")
                time.sleep(0.005)
    eventually(lambda: len(served.protocol.watch) == 0)


def test_a_refusal_waits_for_the_answers_before_it(served: Served) -> None:
    with served.connect() as client:
        client.send(head("/wait") + head("/a") + b"nonsense\r\n\r\n")
        time.sleep(0.1)
        served.app.gate.set()
        stream = client.end()
        refused(stream, 400, after=2)
        assert stream.index(b"waited") < stream.index(b"body of a")


def test_a_request_in_the_pipeline_whose_body_is_malformed_is_never_run(served: Served) -> None:
    with served.connect() as client:
        client.send(head("/wait") + upload(None) + b"nonsense\r\n")
        time.sleep(0.1)
        served.app.gate.set()
        refused(client.end(), 400, after=1)
    eventually(lambda: not served.server.server_state.tasks and len(served.protocol.watch) == 0)
    assert "PUT /upload" not in served.app.asked


@pytest.mark.parametrize("path", ["/large", "/hot"])
def test_a_peer_that_does_not_read_is_dropped(hasty: Start, path: str) -> None:
    served = hasty(stall_seconds=0.5)
    served.app.add("/large", "large", bytes(30_000_000))
    served.app.add("/hot", "hot", bytes(8_000_000))
    if path == "/hot":
        served.warm(path)
    with served.connect(receive_buffer=4096) as client:
        client.send(head(path))
        eventually(lambda: served.cache.hits == 1 if path == "/hot" else bool(served.app.asked))
        eventually(lambda: len(served.server.server_state.connections) == 0)
        with pytest.raises(ConnectionResetError):
            client.end()


def test_a_slow_reader_is_not_dropped(hasty: Start) -> None:
    # The kernel holds megabytes of the answer: only its queue tells that the peer reads.
    body = bytes(range(256)) * 24_000
    served = hasty(stall_seconds=1.5)
    served.app.add("/hot", "hot", body)
    served.warm("/hot")
    with served.connect(receive_buffer=4096) as client:
        client.send(head("/hot"))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.buffer += client.sock.recv(5_000)
            time.sleep(0.02)
        assert client.answer().endswith(body)


@pytest.mark.parametrize("target", [b"/a", b"there:443"])
def test_a_tunnel_is_refused_and_what_is_sent_through_it_is_no_request(
    limited: Served, target: bytes
) -> None:
    with limited.connect() as client:
        limited.app.asked.clear()
        body = head("/other")
        start = b"CONNECT %b HTTP/1.1\r\nHost: here\r\n" % target
        client.send(start + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = client.end()
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1
        assert b"CONNECT is not possible here." in answer
    assert limited.app.asked == []


def test_a_declined_upgrade_loses_nothing_behind_it(limited: Served) -> None:
    with limited.connect() as client:
        client.send(head("/a", extra=b"Connection: upgrade\r\nUpgrade: h2c\r\n") + head("/other"))
        assert client.answer().endswith(b"body of a")
        assert client.answer().endswith(b"no /other")


def test_who_asks_nothing_makes_room_and_who_waits_for_an_answer_stays(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, connections=3)) as served:
        served.app.add("/a", "a", b"body of a")
        with served.connect() as waiting, served.connect() as asked, served.connect() as idle:
            waiting.send(head("/wait"))
            eventually(lambda: served.app.asked == ["GET /wait"])
            asked.send(head("/a"))
            assert asked.answer().endswith(b"body of a")
            idle.send(b"GET /a HTTP/1.1\r\n")
            eventually(lambda: len(served.server.server_state.connections) == 3)
            with served.connect() as one, served.connect() as other:
                for more in (one, other):
                    more.send(head("/a"))
                    assert more.answer().endswith(b"body of a")
                assert asked.end() == idle.end() == b""
            served.app.gate.set()
            assert waiting.answer().endswith(b"waited")


def test_nothing_is_left_of_connections_that_ended(served: Served) -> None:
    for _ in range(20):
        with served.connect() as client:
            client.ask("/a")
        client = served.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.send(upload(100))
        client.sock.close()
    eventually(lambda: len(served.protocol.watch) == 0)
    eventually(lambda: len(served.server.server_state.tasks) == 0)


def test_an_ended_connection_is_freed_without_the_garbage_collector(served: Served) -> None:
    gc.disable()
    try:
        with served.connect() as client:
            client.ask("/a")
            client.ask("/a")
            connection = served.connection
            reference = weakref.ref(connection)
            del connection
        eventually(lambda: reference() is None)
    finally:
        gc.enable()
