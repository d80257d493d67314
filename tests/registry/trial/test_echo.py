from __future__ import annotations

import http.client
import socket

import pytest

from registry.trial import echo
from registry.trial.message import MOST_BODY


def send(port: int, data: bytes) -> bytes:
    """The bytes that come for these, until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def test_it_notes_what_it_sees_and_answers_alike() -> None:
    with echo.listening(b"hello\n") as upstream:
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=30)
        answers = []
        for method, body in (("GET", None), ("BREW", b"tea"), ("HEAD", None)):
            connection.request(method, "/a?b", body, {"X-A": "1", "x-a": "2"})
            answer = connection.getresponse()
            answers.append((answer.status, answer.getheaders(), answer.read()))
        connection.close()
    assert [(seen.method, seen.path, seen.body) for seen in upstream.seen] == [
        ("GET", "/a?b", b""),
        ("BREW", "/a?b", b"tea"),
        ("HEAD", "/a?b", b""),
    ]
    assert [value for name, value in upstream.seen[0].headers if name.lower() == "x-a"] == ["1", "2"]
    assert [body for _, _, body in answers] == [b"hello\n", b"hello\n", b""]
    assert answers[0][:2] == answers[1][:2] == answers[2][:2]


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"3\r\nabc\r\n0\r\ntrailer: x\r\n\r\n", b"abc"),
    ],
    ids=["empty", "two chunks", "a trailer"],
)
def test_a_body_in_chunks(chunks: bytes, body: bytes) -> None:
    with echo.listening(b"") as upstream:
        answer = send(
            upstream.port, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
        )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [seen.body for seen in upstream.seen] == [body]


def test_what_is_kept_has_an_end() -> None:
    large = MOST_BODY + 5
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % large
    with echo.listening(b"") as upstream:
        send(upstream.port, (head + bytes(large)) * 2 + b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 200)
    assert [len(seen.body) for seen in upstream.seen[:3]] == [MOST_BODY, MOST_BODY, 0]
    assert len(upstream.seen) == echo.MOST_SEEN


@pytest.mark.parametrize(
    "data", [b"", b"GET", b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\na"]
)
def test_who_hangs_up_does_not_matter(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with echo.listening(b"hello\n") as upstream:
        send(upstream.port, data)
        assert send(upstream.port, b"GET / HTTP/1.0\r\n\r\n").endswith(b"hello\n")
    assert capfd.readouterr() == ("", "")
