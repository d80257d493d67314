from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from registry.login import asking
from registry.login.asking import LARGEST, Asked, Asking, IssuerSilent, answer, is_safe
from storage.errors import Busy
from tests.registry.issuer import KEYS, running


@contextmanager
def saying(*pieces: bytes, end: threading.Event | None = None) -> Iterator[str]:
    """A server that says these pieces to one who connects, and the last one again and again until the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                try:
                    while end is not None and not end.wait(0.01):
                        connection.sendall(pieces[-1])
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_an_answer() -> None:
    with running() as issuer:
        assert answer(Asked(issuer.url + KEYS, {"Authorization": "Bearer x"})) == issuer.jwks
        assert issuer.bearers == ["Bearer x"]


@pytest.mark.parametrize("status", [201, 204, 301, 307, 401, 500])
def test_nothing_but_200_is_an_answer_and_no_redirect_is_followed(status: int) -> None:
    with running() as issuer:
        issuer.status = status
        issuer.answers["/x"] = b""
        with pytest.raises(IssuerSilent, match=f"answered {status}"):
            answer(Asked(issuer.url + "/x", {}))
        assert issuer.asked == ["GET /x"]


def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(HEAD + b"a" * LARGEST) as url:
        assert len(answer(Asked(url, {}))) == LARGEST
    with saying(HEAD + b"a" * (LARGEST + 1)) as url, pytest.raises(IssuerSilent, match="answered more than"):
        answer(Asked(url, {}))
    monkeypatch.setattr(asking, "SECONDS", 0.1)
    end = threading.Event()
    with saying(HEAD, b"a", end=end) as url:
        with pytest.raises(IssuerSilent, match=r"did not answer within 0\.1 seconds"):
            answer(Asked(url, {}))
        end.set()


def test_what_is_no_answer() -> None:
    with saying(b"hello\r\n\r\n") as url, pytest.raises(IssuerSilent, match="did not answer"):
        answer(Asked(url, {}))
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as url, pytest.raises(IssuerSilent):
        answer(Asked(url, {}))
    with pytest.raises(IssuerSilent, match="did not answer"):
        answer(Asked(url, {}))


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://issuer.example/keys", True),
        ("http://127.0.0.1:1/keys", True),
        ("http://localhost/", True),
        ("http://[::1]:1/", True),
        ("http://issuer.example/", False),
        ("http://127.0.0.1.issuer.example/", False),
        ("http://localhost@issuer.example/", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/", False),
        ("//127.0.0.1/", False),
        ("http://[::1", False),
        ("https://issuer.example:x/", False),
    ],
)
def test_what_is_asked_at_all(url: str, safe: bool) -> None:
    assert is_safe(url) is safe
    if not safe:
        with pytest.raises(IssuerSilent, match="is not by https"):
            answer(Asked(url, {}))


async def test_no_more_wait_than_can_be_waited_for() -> None:
    asking, go = Asking(threads=1, waiting=1), threading.Event()
    waiting = [asyncio.create_task(asking.run(go.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await asking.run(go.wait)
    go.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await asking.run(lambda: 7) == 7
    await asking.close()
