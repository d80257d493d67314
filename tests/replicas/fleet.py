"""Replicas over one bucket, killed and started again while others serve; and the client that has them all."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.real import sidecargo
from tests.real.process import free_port
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Answer, Connection, Fields
from tests.replicas.history import History, Span, Unavailable

_SECONDS = 120.0
"""Longer than a server that lives takes for anything, on a machine however busy."""


class Doubt(Exception):
    """No answer came, or one that says that it cannot be done now: it was done, or not, or comes yet."""

    def __init__(self, when: Span) -> None:
        super().__init__(when)
        self.when = when


@dataclass(slots=True)
class Replica:
    """One server at a port that stays; `life` counts its starts."""

    number: int
    folder: Path
    port: int
    flags: tuple[str, ...]
    settings: Path
    server: Sidecargo | None = None
    life: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, tries: int = 1) -> None:
        """Start it; where the store is silent at that moment it ends, and whoever runs it tries again."""
        self.folder.mkdir(exist_ok=True)
        for left in reversed(range(tries)):
            try:
                self.server = sidecargo.start(
                    self.folder, *self.flags, port=self.port, settings=self.settings
                )
            except AssertionError:
                if not left:
                    raise
                time.sleep(1)
            else:
                break
        self.life += 1

    def kill(self) -> None:
        """End it and what it started, without a warning."""
        server, self.server = self.server, None
        assert server
        server.process.kill()


@dataclass(slots=True)
class Fleet:
    """All replicas; nobody who asks knows which of them lives."""

    replicas: list[Replica]

    @classmethod
    def of(cls, count: int, folder: Path, settings: Path, *flags: str) -> Fleet:
        """So many replicas with the same settings, which serve within this context."""
        return cls(
            [Replica(number, folder / f"{number}", free_port(), flags, settings) for number in range(count)]
        )

    def __enter__(self) -> Fleet:
        try:
            for replica in self.replicas:
                replica.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.replicas:
            if replica.server:
                replica.kill()

    def disturb(self, history: History, chance: random.Random, pause: float, over: threading.Event) -> None:
        """Kill one every `pause` seconds or so, and start it again, until it is `over`."""
        while not over.wait(chance.uniform(0.5, 1.5) * pause):
            replica = chance.choice(self.replicas)
            history.kills.append(time.time())
            replica.kill()
            over.wait(chance.uniform(0.0, 2.0))
            replica.start(tries=20)

    def said(self) -> str:
        """All that they have logged."""
        return "".join((one.folder / "sidecargo.log").read_text(errors="replace") for one in self.replicas)


class Client:
    """One who talks to all replicas, each request to another one; connections last as long as they can."""

    def __init__(self, fleet: Fleet, history: History, chance: random.Random) -> None:
        self.chance = chance
        self.history = history
        self.mounted = 0
        self._fleet = fleet
        self._connections: dict[int, tuple[int, Connection]] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        fields: Fields | None = None,
        *,
        at: int | None = None,
    ) -> tuple[Answer, Span]:
        """The answer of one that lives, or of the one `at` that number; raises Doubt.

        One that cannot be connected to has not been asked: another one is.
        """
        replica, connection = self._one_that_lives(at)
        began = time.time()
        try:
            answer = connection.ask(method, path, fields, body)
        except (OSError, AssertionError) as error:
            self._drop(replica)
            if isinstance(error, AssertionError) and "the stream ends" not in str(error):
                raise
            if isinstance(error, TimeoutError):
                self.history.faults.append(f"{method} {path} has no answer after {_SECONDS} s")
            raise Doubt(Span(began, time.time(), replica.number)) from None
        when = Span(began, time.time(), replica.number)
        if answer.status in (429, 503):
            if answer.status == 503:
                told = f"{method} {path} {answer.body[:300]!r}"
                said = answer.get("retry-after") is not None
                self.history.unavailable.append(Unavailable(when, told, said))
            time.sleep(0.2)
            raise Doubt(when)
        return answer, when

    def sure(
        self, method: str, path: str, *, at: int | None = None, fields: Fields | None = None
    ) -> tuple[Answer, Span]:
        """The same for what changes nothing, asked until there is an answer."""
        while True:
            try:
                return self.ask(method, path, fields=fields, at=at)
            except Doubt:
                pass

    def close(self) -> None:
        for _, connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    def _one_that_lives(self, at: int | None) -> tuple[Replica, Connection]:
        while True:
            replica = self.chance.choice(self._fleet.replicas) if at is None else self._fleet.replicas[at]
            try:
                return replica, self._connection(replica)
            except OSError:
                time.sleep(0.01)

    def _connection(self, replica: Replica) -> Connection:
        life, connection = self._connections.get(replica.number, (-1, None))
        if connection is not None and life == replica.life:
            return connection
        self._drop(replica)
        fresh = Connection(replica.host, _SECONDS)
        self._connections[replica.number] = (replica.life, fresh)
        return fresh

    def _drop(self, replica: Replica) -> None:
        if known := self._connections.pop(replica.number, None):
            known[1].socket.close()
