"""The inspector as a process, by what goes over its standard input."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.publish.bare import inspect_module
from registry.publish.inspect import Looked
from registry.publish.messages import ABANDON, LENGTH, message
from tests.registry.consumers.build import PLUGIN, layer

PACKED = layer(("plugin.wasm", PLUGIN))
ASKED = {"form": "tar+gzip", "of": 1, "limit": 1 << 20}


class Talk:
    """One inspector and the connection to it."""

    def __init__(self, folder: Path) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "registry.publish.inspector", str(folder)],
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
            )

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def answer(self) -> dict[str, Any]:
        return json.loads(self._exactly(int.from_bytes(self._exactly(LENGTH), "big")))  # type: ignore[no-any-return]

    def ask(self, data: bytes) -> dict[str, Any]:
        self.send(message(json.dumps(ASKED).encode()), message(data), message(b""))
        return self.answer()

    def end(self) -> tuple[int, bytes]:
        """Close the connection: its exit code, and what it said."""
        self.socket.close()
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, "it has ended"
            data += piece
        return data


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    made = Talk(tmp_path)
    yield made
    made.process.kill()
    made.end()


def loads(found: dict[str, Any]) -> bool:
    return Looked.from_json(found).verdicts == inspect_module(PLUGIN).verdicts


def test_one_layer_after_the_other(talk: Talk) -> None:
    for _ in range(3):
        assert loads(talk.ask(PACKED))
    assert talk.end() == (0, b"")


@pytest.mark.parametrize("begun", [b"", message(PACKED[:50]), message(PACKED)], ids=["none", "one", "all"])
def test_what_is_abandoned_is_forgotten(talk: Talk, begun: bytes) -> None:
    for _ in range(2):
        talk.send(message(json.dumps(ASKED).encode()), begun, ABANDON)
        assert talk.answer() == {}
    assert loads(talk.ask(PACKED))
    assert talk.end() == (0, b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0",
        message(b"{"),
        message(json.dumps(ASKED).encode()),
        message(json.dumps(ASKED).encode()) + message(PACKED[:50]),
        message(json.dumps(ASKED).encode()) + message(PACKED)[:50],
    ],
    ids=["nothing", "a part of a length", "a part of JSON", "a question", "a piece", "a part of a piece"],
)
def test_it_ends_with_its_server(talk: Talk, sent: bytes) -> None:
    talk.send(sent)
    talk.socket.shutdown(socket.SHUT_WR)
    code, said = talk.end()
    if sent != message(b"{"):
        assert (code, said) == (0, b"")


def test_it_ends_with_a_server_that_died_before_its_answer(talk: Talk) -> None:
    talk.send(message(json.dumps(ASKED).encode()), message(PACKED), message(b""))
    assert talk.end() == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_goes_on_when_all_are_told_to_end(talk: Talk, number: signal.Signals) -> None:
    assert loads(talk.ask(PACKED))
    talk.send(message(json.dumps(ASKED).encode()), message(PACKED[:50]))
    talk.process.send_signal(number)
    talk.send(message(PACKED[50:]), message(b""))
    assert loads(talk.answer())
    assert talk.end() == (0, b"")


def test_too_much_processor_time_ends_it(tmp_path: Path) -> None:
    """What the limit is for is not known to exist: a loop in its place."""
    script = (
        "import sys\n"
        "from registry.publish import inspector\n"
        "def forever(*_, **__):\n"
        "    while True: pass\n"
        "inspector.look, inspector.SECONDS = forever, 0.1\n"
        "inspector.main()\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=theirs.fileno())
        ours.sendall(message(json.dumps(ASKED).encode()))
        assert process.wait(20) == -signal.SIGPROF
