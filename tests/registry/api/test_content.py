"""The slow path and the hot one give the same bytes, and neither the old answer after a change."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from registry.access.principal import Principal
from registry.api.call import Call
from registry.api.content import Content
from storage import paths as paths_in_store
from storage.digest import Digest
from storage.driver import Witness
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer, sha256
from tests.registry.consumers.shapes import B
from tests.registry.talk import MISSING, Answer, Connection, Registry, eventually, fresh
from tests.registry.wasm.binary import custom
from tests.storage.streams import pieces

HITS = 'outcome="hits"'


def module(size: int) -> bytes:
    """A plugin with so many bytes of padding that no other test has."""
    return PLUGIN + custom("padding", os.urandom(size + 8))


def unique(plugin: bytes) -> Shape:
    """An image of a plugin."""
    return image("unique", [(OCI_LAYER, layer(("plugin.wasm", plugin)))], None)


def paths(registry: Registry, shape: Shape) -> dict[str, str]:
    """Every path under which something of an image is answered from memory."""
    packed = shape.manifest["layers"][0]["digest"]
    return {
        "manifest by tag": f"{registry.base}/manifests/v1",
        "manifest by digest": f"{registry.base}/manifests/{shape.digest}",
        "blob": f"{registry.base}/blobs/{packed}",
        "module by tag": f"/plugins/{registry.name}:v1/plugin.wasm",
        "module by digest": f"/plugins/{registry.name}@{shape.digest}/plugin.wasm",
    }


ROUTES = tuple(paths(Registry("", "r"), B))


@pytest.mark.parametrize("size", [0, 100_000, 3 << 20], ids=["tiny", "100 kB", "3 MB"])
@pytest.mark.parametrize("route", ROUTES)
class TestSameAnswer:
    def test_of_the_slow_path_and_the_hot_one(self, registry: Registry, route: str, size: int) -> None:
        shape = unique(module(size))
        assert registry.push(shape).status == 201
        path = paths(registry, shape)[route]
        with Connection(registry.host) as connection:
            slow_head = connection.ask("HEAD", path)
            before = hits(registry)
            slow = connection.ask("GET", path)
            assert hits(registry) == before, "the first answer came from memory"
            hot = connection.ask("GET", path)
            assert hits(registry) == before + 1, "the second answer did not come from memory"
            assert hot.timeless == slow.timeless
            assert (slow.status, len(slow.body)) == (200, int(slow["content-length"]))
            hot_head = connection.ask("HEAD", path)
            assert hot_head.timeless == slow_head.timeless
            assert (hot_head.line, hot_head.body) == (slow.line, b"")
            assert [field for field in hot_head.fields if field[0] != "date"] == list(slow.timeless[1])
            tag = slow["etag"]
            for condition, status in (
                (tag, 304),
                (f"W/{tag}", 304),
                (f'"x", {tag}', 304),
                ("*", 304),
                ('"x"', 200),
            ):
                fields = {"If-None-Match": condition}
                for method in ("GET", "HEAD"):
                    before = hits(registry)
                    hot = connection.ask(method, path, fields)
                    assert hits(registry) == before + 1, condition
                    # A query keeps a request off the hot path.
                    slow = connection.ask(method, f"{path}?slow", fields)
                    assert hits(registry) == before + 1
                    assert hot.timeless == slow.timeless
                    assert hot.status == status

    def test_of_a_range_is_the_slow_path_s(self, registry: Registry, route: str, size: int) -> None:
        shape = unique(module(size))
        registry.push(shape)
        path = paths(registry, shape)[route]
        with Connection(registry.host) as connection:
            whole = [connection.ask("GET", path) for _ in range(2)][1]
            for asked, body in (("bytes=1-", whole.body[1:]), ("bytes=-3", whole.body[-3:])):
                part = connection.ask("GET", path, {"Range": asked, "If-Range": whole["etag"]})
                assert (part.status, part.body) == (206, body)
                assert part["etag"] == whole["etag"]
            assert connection.ask("GET", path, {"Range": "bytes=99999999-"}).status == 416


def hits(registry: Registry) -> float:
    return registry.counts("sidecargo_hot_total").get(HITS, 0)


def test_what_is_too_large_for_memory_is_streamed(registry: Registry) -> None:
    data = os.urandom((8 << 20) + 1)
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    before = hits(registry)
    for _ in range(2):
        assert registry.get(path).body == data
    for first, last in ((0, 8 << 20), (1, 2 << 20), (7 << 20, 8 << 20), (5, 10)):
        part = registry.get(path, {"Range": f"bytes={first}-{last}"})
        assert (part.status, part.body) == (206, data[first : last + 1])
    assert hits(registry) == before


def test_what_is_deleted_meanwhile_is_still_whole(registry: Registry, store: Path) -> None:
    data = os.urandom(32 << 20)
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    with Connection(registry.host) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.send("GET", path)
        eventually(lambda: bool(connection.socket.recv(1, socket.MSG_PEEK)))
        (store / paths_in_store.blob(Digest.of(data))).unlink()
        assert connection.answer().body == data


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A store that clients may read, memory for 1,000 bytes, and nothing else of the services."""

    locates: Elsewhere | None = None
    largest: int = 1000
    opens: None = None

    @property
    def answers(self) -> Elsewhere:
        return self

    def holds(self, size: int) -> bool:
        return size <= self.largest

    async def locate(self, key: str) -> str:
        return f"https://s3.example/{key}?signed"


@pytest.mark.parametrize(
    ("method", "size", "key", "fields", "status"),
    [
        pytest.param("GET", 1001, "b", {}, 307, id="large"),
        pytest.param("GET", 1001, "b", {"range": "bytes=5-"}, 307, id="a part"),
        pytest.param("GET", 1001, "b", {"range": "bytes=2000-"}, 307, id="a part that is not there"),
        pytest.param("GET", 1001, "b", {"if-none-match": '"other"'}, 307, id="the client has another"),
        pytest.param("GET", 1001, "b", {"if-none-match": f'"{MISSING}"'}, 304, id="the client has it"),
        pytest.param("HEAD", 1001, "b", {}, 200, id="HEAD"),
        pytest.param("GET", 1000, "b", {"range": "bytes=5-"}, 206, id="small"),
        pytest.param("GET", 1001, None, {}, 200, id="within its link, or a module"),
    ],
)
async def test_who_is_sent_to_the_store(
    method: str, size: int, key: str | None, fields: dict[str, str], status: int
) -> None:
    answer = await answered(Elsewhere(Elsewhere()), method, size, key, fields)
    assert answer.status_code == status
    if status == 307:
        assert dict(answer.headers) == {
            "location": "https://s3.example/b?signed",
            "cache-control": "no-store",
            "docker-content-digest": MISSING,
            "content-length": "0",
        }
    else:
        assert "location" not in answer.headers


async def test_nobody_is_sent_to_a_store_that_is_ours_alone() -> None:
    assert (await answered(Elsewhere(), "GET", 1001, "b", {})).status_code == 200


async def answered(
    services: Elsewhere, method: str, size: int, key: str | None, fields: dict[str, str]
) -> Response:
    """The answer to a request for content of so many zeros, under a digest that is not theirs."""

    def read(start: int, end: int | None) -> AsyncIterator[bytes]:
        return pieces(bytes(size)[start:end])

    headers = {"Docker-Content-Digest": MISSING, "Content-Type": "application/octet-stream"}
    content = Content(Digest.parse(MISSING), size, read, Witness("k", b"w"), headers, key=key)
    scope = {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }
    return await content.answer(Call(Request(scope), services, Principal("", ""), None))  # type: ignore[arg-type]


class Hammer:
    """Threads that ask for paths all the time, and what they may be answered at which time."""

    THREADS = 6

    def __init__(self, registry: Registry, asked: dict[str, str]) -> None:
        self._registry = registry
        self._asked = asked
        self._seen: list[tuple[str, float, float, str]] = []
        self._valid: dict[str, list[tuple[str, float, float]]] = {name: [] for name in asked}
        self._rounds = [0] * self.THREADS
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(at,)) for at in range(self.THREADS)]

    def __enter__(self) -> Hammer:
        with self.change(**{name: value(self._registry.get(path)) for name, path in self._asked.items()}):
            pass
        for thread in self._threads:
            thread.start()
        self.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def change(self, **becomes: str) -> Iterator[None]:
        """Inside, what is named changes; from its end on only the new answer is right."""
        begun = time.monotonic()
        for name, new in becomes.items():
            self._valid[name].append((new, begun, math.inf))
        yield
        done = time.monotonic()
        for name in becomes:
            *before, last = self._valid[name]
            self._valid[name] = [(old, since, min(until, done)) for old, since, until in before] + [last]

    def look(self) -> None:
        """Wait until each thread has asked for everything."""
        before = list(self._rounds)
        eventually(
            lambda: (
                all(now > was + 1 for now, was in zip(self._rounds, before, strict=True))
                or not all(thread.is_alive() for thread in self._threads)
            )
        )

    def wrong(self) -> list[str]:
        """Answers that were right at no time between their question and their arrival."""
        return [
            f"{name}: {found}"
            for name, asked, answered, found in self._seen
            if not any(
                found == right and since <= answered and until >= asked
                for right, since, until in self._valid[name]
            )
        ]

    def _ask(self, at: int) -> None:
        with Connection(self._registry.host) as connection:
            while not self._stop.is_set():
                for name, path in self._asked.items():
                    asked = time.monotonic()
                    found = value(connection.ask("GET", path))
                    self._seen.append((name, asked, time.monotonic(), found))
                self._rounds[at] += 1


def value(answer: Answer) -> str:
    """What an answer says, in a word."""
    return sha256(answer.body) if answer.status == 200 else str(answer.status)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_under_load_the_old_answer_is_never_seen_after_a_change(
    serve: Callable[..., Sidecargo], workers: str
) -> None:
    registry = fresh(serve("--workers", workers).host)
    first, *others = [unique(module(at)) for at in (0, 1, 2)]
    for shape in (*others, first):
        assert registry.push(shape).status == 201
    asked = paths(registry, first)
    packed = first.blobs[first.manifest["layers"][0]["digest"]]
    plugin = registry.get(asked["module by tag"]).body
    before = hits(registry)
    with Hammer(registry, {name.replace(" ", "_"): path for name, path in asked.items()}) as hammer:
        for turn in range(3):
            for shape in others:
                other = registry.get(f"/plugins/{registry.name}@{shape.digest}/plugin.wasm").body
                with hammer.change(manifest_by_tag=shape.digest, module_by_tag=sha256(other)):
                    assert registry.put("v1", shape.body).status == 201
                hammer.look()
            with hammer.change(manifest_by_tag="404", module_by_tag="404"):
                assert registry.ask("DELETE", asked["manifest by tag"]).status == 202
            hammer.look()
            with hammer.change(manifest_by_tag=first.digest, module_by_tag=sha256(plugin)):
                assert registry.put("v1", first.body).status == 201
            hammer.look()
            everything = ("manifest_by_tag", "module_by_tag", "manifest_by_digest", "module_by_digest")
            with hammer.change(**dict.fromkeys(everything, "404")):
                assert registry.ask("DELETE", asked["manifest by digest"]).status == 202
            hammer.look()
            with hammer.change(blob="404"):
                assert registry.ask("DELETE", asked["blob"]).status == 202
            hammer.look()
            with hammer.change(blob=sha256(packed)):
                registry.blob(packed)
            with hammer.change(
                manifest_by_tag=first.digest,
                module_by_tag=sha256(plugin),
                manifest_by_digest=first.digest,
                module_by_digest=sha256(plugin),
            ):
                assert registry.put("v1", first.body).status == 201, turn
            hammer.look()
    assert not hammer.wrong()
    eventually(lambda: hits(registry) > before + 100)
