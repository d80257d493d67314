"""Clients that push and pull while the store fails, and hold against it what they were told."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from tests.crash.story import layer_of
from tests.crash.writer import SECONDS, Dead, Known, Writer
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, image, layer, sha256
from tests.registry.talk import Answer, Connection, Registry
from tests.registry.wasm.binary import custom

OUTAGES = int(os.environ.get("SIDECARGO_OUTAGES", "0")) or 1
"""How often a store fails in each test; `make soak` asks for more."""

FAILED = (503, 507)
"""What a registry answers whose store fails."""

LARGE = 9 << 20
"""More than one part of an upload to S3."""


class Unanswered(Dead):
    """A request that may have been done or not."""


class Pusher(Writer):
    """Asks again, as clients do, what was answered by 503 or not at all; its doubts end with an answer.

    `refused` counts the answers of that kind, `broken` what was not answered. It mounts from `source`.
    """

    def __init__(self, *args: object, source: str = "", **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.refused = 0
        self.broken = 0
        self._source = source

    def told(self, work: Callable[[], Answer], status: int) -> Answer:
        doubted = False
        while True:
            try:
                answer = work()
            except Unanswered:
                doubted = True
                if self.over.wait(self.chance.uniform(0.05, 0.5)):
                    raise
                continue
            if doubted and status == 202 and answer.status == 404:
                return answer  # what was to go went before
            assert answer.status == status, answer
            return answer

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
        *,
        host: str = "",
    ) -> Answer:
        try:
            answer = super().ask(method, path, body, fields, host=host)
        except Dead as error:
            if left := self._connections.pop(host or self.registry.host, None):
                left.socket.close()
            self.broken += 1
            raise Unanswered from error
        if answer.status in FAILED:
            assert int(answer["retry-after"]) > 0
            self.refused += 1
            raise Unanswered
        return answer

    def layer(self) -> bytes:
        return large(self.chance.randrange(2)) if self.chance.random() < 0.05 else super().layer()

    def upload(self, data: bytes) -> Answer:
        if self._source and self.chance.random() < 0.3:
            query = f"mount={sha256(data)}&from={self._source}"
            answer = self.ask("POST", f"{self.registry.base}/blobs/uploads/?{query}", b"", host=self._host())
            if answer.status == 201:
                return answer
        return super().upload(data)

    def send(self, path: str, data: bytes) -> None:
        """After a failure some go on where the upload stands, as its answer says."""
        try:
            return super().send(path, data)
        except Unanswered:
            if self.chance.random() < 0.5:
                raise
        standing = self.ask("GET", path, host=self._host())
        assert standing.status == 204, standing
        last = int(standing["range"].partition("-")[2])
        at = last + 1 if last else 0
        if at < len(data):
            part = {"Content-Range": f"{at}-{len(data) - 1}"}
            answer = self.ask("PATCH", path, data[at:], part, host=self._host())
            if answer.status == 416:  # one that failed is seen at it, or one byte is there: begin anew
                raise Unanswered
            assert answer.status == 202, answer
        return None

    def finish(self, path: str, data: bytes) -> Answer:
        try:
            return super().finish(path, data)
        except Unanswered:
            if self.chance.random() < 0.5:
                raise
        answer = super().finish(path, data)
        if answer.status == 404:  # it was done before, or is to be done anew
            found = self.ask("HEAD", f"{self.registry.base}/blobs/{sha256(data)}")
            if found.status == 404:
                raise Unanswered
            assert found.status == 200, found
            return Answer("HTTP/1.1 201 Created", (), b"")
        return answer


@dataclass
class Puller:
    """Pulls what `content` says by path, again and again: it gets those bytes, or 503 with Retry-After.

    `refused` counts the latter, `done` all pulls.
    """

    host: str
    content: dict[str, bytes]
    over: threading.Event
    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def pull(self) -> None:
        """Pull until it is over."""
        chance = random.Random(self.host)
        with Connection(self.host, SECONDS) as connection:
            while not self.over.wait(0.002):
                path = chance.choice([*self.content])
                answer = connection.ask("GET", path)
                self.done += 1
                if answer.status in FAILED:
                    assert int(answer["retry-after"]) > 0
                    self.refused[path] += 1
                else:
                    assert answer.status == 200, answer
                    assert answer.body == self.content[path], f"{path} has other bytes"


@dataclass
class Crowd:
    """All who push to and pull from some servers, and what those who push know."""

    registries: Sequence[Registry]
    pushers: list[Pusher]
    pullers: list[Puller]
    working: list[Future[None]] = field(default_factory=list)

    @property
    def known(self) -> dict[str, list[Known]]:
        """By repository."""
        bases = {pusher.registry.base for pusher in self.pushers}
        return {base: [one.known for one in self.pushers if one.registry.base == base] for base in bases}

    def pushed(self, number: int) -> Callable[[], bool]:
        """Whether so much more than now is acknowledged."""
        enough = sum(one.acknowledged for one in self.pushers) + number
        return lambda: sum(one.acknowledged for one in self.pushers) >= enough

    def turned_away(self, number: int) -> Callable[[], bool]:
        """Whether so many requests of pushers more than now were answered by 503."""
        enough = sum(one.refused for one in self.pushers) + number
        return lambda: sum(one.refused for one in self.pushers) >= enough

    def all_push(self) -> Callable[[], bool]:
        """Whether each has been acknowledged more than now."""
        before = [pusher.acknowledged for pusher in self.pushers]
        return lambda: all(one.acknowledged > known for one, known in zip(self.pushers, before, strict=True))

    def all_pull(self, pulls: int) -> Callable[[], bool]:
        """Whether each has pulled so often since now."""
        before = [puller.done for puller in self.pullers]
        return lambda: all(one.done > known + pulls for one, known in zip(self.pullers, before, strict=True))

    def until(self, condition: Callable[[], bool], seconds: float = 180) -> None:
        """Wait until it is so, while all go on; raises what one of them did not expect."""
        end = time.monotonic() + seconds
        while not condition():
            for one in self.working:
                if one.done():
                    one.result()
            assert time.monotonic() < end, "this never became true"
            time.sleep(0.1)


@contextmanager
def at_work(
    hosts: Sequence[str], hot: dict[str, bytes], *, pushers: int, pullers: int, seed: int
) -> Iterator[Crowd]:
    """So many of each push and pull meanwhile; raises what they did not expect."""
    over = threading.Event()
    names = ("t/one", "t/two")
    registries = [Registry(host, name) for host in hosts for name in names]
    crowd = Crowd(registries, [], [])
    for number in range(pushers):
        registry = registries[number % len(registries)]
        source = names[registry.name == names[0]]
        crowd.pushers.append(
            Pusher(number, registry, Known(), seed + number, over, threading.Event(), hosts, source=source)
        )
    crowd.pullers += [Puller(host, hot, over) for host in hosts for _ in range(pullers)]
    with ThreadPoolExecutor(pushers + len(crowd.pullers)) as pool:
        working = crowd.working
        working += [pool.submit(one.write) for one in crowd.pushers]
        working += [pool.submit(one.pull) for one in crowd.pullers]
        try:
            yield crowd
        finally:
            over.set()
    for one in working:
        one.result()


@cache
def large(number: int) -> bytes:
    """A layer that is uploaded in parts."""
    pad = custom("pad", random.Random(number).randbytes(LARGE))
    content = layer(("plugin.wasm", PLUGIN + pad))
    return layer_of(image(f"large {number}", [(OCI_LAYER, content)], None))
