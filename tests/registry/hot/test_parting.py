"""A server that ends: what its connections still answer, and that none holds it up (`registry.hot.guard`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.hot import guard
from registry.hot.patience import Patience
from tests.registry.hot.server import Served, eventually, head, serving, upload

PATIENT = Patience(linger_seconds=10, look_seconds=0.01)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, PATIENT) as served:
        served.app.add("/a", "a", b"body of a")
        yield served


@pytest.mark.parametrize("sent", [0, 30], ids=["nothing yet", "half a head"])
@pytest.mark.parametrize("path", ["/a", "/hot"])
def test_what_is_on_its_way_when_the_server_ends_is_answered(
    served: Served, path: str, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_PARTING", 60)
    served.app.add("/hot", "hot", b"hot")
    served.warm("/hot")
    eventually(lambda: len(served.protocol.watch) == 0)
    data = head(path)
    with served.connect() as client:
        eventually(lambda: len(served.protocol.watch) == 1)
        client.send(data[:sent])
        served.server.should_exit = True
        eventually(lambda: served.connection._parting)
        client.send(data[sent:])
        answer = client.end()
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(served.app.answers[path][1])
    assert b"\r\nconnection: close" in answer


@pytest.mark.parametrize("path", ["/early", "/a"], ids=["the last answer", "one of many"])
@pytest.mark.parametrize("begun", [True, False], ids=["answered before", "answered after"])
def test_an_answer_before_the_body_s_end_can_be_read_when_the_server_ends(
    served: Served, path: str, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_PARTING", 60)
    request = upload(50_000_000, path=path)
    with served.connect() as client:
        if begun:
            client.send(request)
            answer = client.answer()
        eventually(lambda: len(served.protocol.watch) == 1)
        connection = served.connection
        served.server.should_exit = True
        eventually(lambda: not served.server.servers[0].is_serving())
        if not begun:
            client.send(request)
            answer = client.answer()
        eventually(lambda: connection._linger_until is not None)
        connection.loop.call_soon_threadsafe(connection._part)  # the time of a new one is over
        for _ in range(20):
            client.send(bytes(100_000))
            time.sleep(0.01)
        assert client.end() == b""
    assert answer.endswith(b"too large" if path == "/early" else b"body of a")


def test_who_comes_while_the_server_ends_is_answered_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_PARTING", 60)
    served.protocol.watch.end()  # as TLS has it, whose connections begin when both sides agree
    with served.connect() as client:
        client.send(head("/a"))
        assert b"\r\nconnection: close" in client.end()


def test_nothing_is_begun_behind_the_last_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PARTING", 60)
    served.protocol.watch.end()
    with served.connect() as client:
        client.send(head("/wait") + upload(1_000) + b"x")
        eventually(lambda: served.app.asked == ["GET /wait"])
        served.app.gate.set()
        assert client.end().endswith(b"waited")
    eventually(lambda: len(served.protocol.watch) == 0)
    assert served.app.asked == ["GET /wait"]


def test_who_says_nothing_holds_up_no_end(served: Served) -> None:
    with served.connect() as client:
        eventually(lambda: len(served.protocol.watch) == 1)
        served.server.should_exit = True
        assert client.end() == b""
        served.thread.join(10)
    assert not served.thread.is_alive()
