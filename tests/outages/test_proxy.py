"""What stands between passes every byte, and does what its faults say."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.outages.faults import Chance, Fault, evenly
from tests.outages.proxy import Proxy
from tests.registry.talk import Answer, Connection, eventually

BODY = bytes(range(256)) * 1000


class Store(ThreadingHTTPServer):
    """Answers with what it is sent, and keeps the requests that it saw whole."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.seen: list[tuple[str, str, bytes]] = []


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size + 2)[:-2]
            while self.rfile.readline() != b"\r\n":
                pass
        else:
            length = int(self.headers["Content-Length"] or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                return
        self.server.seen.append((self.path, self.headers["Host"], body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def do_GET(self) -> None:
        self.do_PUT()

    def do_HEAD(self) -> None:
        self.do_PUT()

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def between(store: Store) -> Iterator[Proxy]:
    with Proxy(store.server_port) as proxy:
        yield proxy


def connected(proxy: Proxy) -> Connection:
    return Connection(f"127.0.0.1:{proxy.port}")


def asked(proxy: Proxy, method: str = "PUT", path: str = "/a") -> Answer | None:
    """The answer to a request; None where the connection breaks before its end."""
    with connected(proxy) as connection:
        try:
            return connection.ask(method, path, body=BODY)
        except (OSError, AssertionError):
            return None


def test_it_passes_every_byte_on_a_connection_that_stays(between: Proxy, store: Store) -> None:
    with connected(between) as connection:
        for body in (BODY, b"", b"x"):
            assert connection.ask("PUT", "/a%20b?c=d", body=body).body == body
        assert connection.ask("HEAD", "/a", body=b"x")["content-length"] == "1"
        chunks = b"3;signature=1\r\nabc\r\n2\r\nde\r\n0\r\nx-checksum: 1\r\n\r\n"
        assert connection.ask("PUT", "/b", {"Transfer-Encoding": "chunked"}, chunks).body == b"abcde"
        connection.send("PUT", "/c", {"Expect": "100-continue", "Content-Length": "3"})
        assert connection.answer(bodiless=True).status == 100
        connection.socket.sendall(b"end")
        assert connection.answer().body == b"end"
    host = connection.host
    assert store.seen[0] == ("/a%20b?c=d", host, BODY)
    assert [path for path, _, _ in store.seen[3:]] == ["/a", "/b", "/c"]


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        (Fault.RESET, None, False),
        (Fault.CUT_REQUEST, None, False),
        (Fault.LOST, None, True),
        (Fault.CUT_ANSWER, None, True),
        (Fault.LATE, 200, True),
        (Fault.ERROR, 500, False),
        (Fault.SLOW_DOWN, 503, False),
        (Fault.ERROR_AFTER, 500, True),
        (Fault.ERROR_WITHIN, 500, False),
    ],
    ids=lambda one: one.name if isinstance(one, Fault) else None,
)
def test_faults(between: Proxy, store: Store, fault: Fault, status: int | None, done: bool) -> None:
    between.chance.rates = {fault: 1.0}
    answer = asked(between)
    assert (answer.status if answer else None) == status
    assert [path for path, _, _ in store.seen] == ["/a"] * done
    between.chance.rates = {}
    answer = asked(between)
    assert answer is not None
    assert answer.body == BODY
    assert between.chance.met.total() == 1


def test_what_fails_after_a_200(between: Proxy, store: Store) -> None:
    between.chance.then(Fault.ERROR_WITHIN)
    asked(between)
    assert len(store.seen) == 1, "it waits for a call that can meet it"
    with connected(between) as connection:
        answer = connection.ask("PUT", "/a", {"x-amz-copy-source": "/b"}, b"")
        assert (answer.status, b"<Code>InternalError</Code>" in answer.body) == (200, True)
        assert connection.ask("PUT", "/a", body=b"x").body == b"x"


def test_what_hangs(between: Proxy, store: Store) -> None:
    between.chance.then(Fault.HUNG)
    with connected(between) as connection:
        connection.send("PUT", "/a", body=BODY)
        connection.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.answer()
    eventually(lambda: len(store.seen) == 1)


def test_down_and_up(between: Proxy) -> None:
    with connected(between) as connection:
        assert connection.ask("GET", "/a").status == 200
        between.down()
        with pytest.raises((OSError, AssertionError)):
            connection.ask("GET", "/a")
    with pytest.raises(ConnectionRefusedError):
        connected(between)
    between.up()
    assert asked(between) is not None


def test_the_same_seed_is_the_same_faults() -> None:
    drawn = []
    for _ in range(2):
        chance = Chance(7)
        chance.rates = evenly(0.5)
        drawn.append([chance.draw(copies=False) for _ in range(200)])
    assert drawn[0] == drawn[1]
    counted = Counter(drawn[0])
    assert 50 < counted[None] < 150
    assert {*counted} == {None, *Fault} - {Fault.HUNG, Fault.ERROR_WITHIN}
