"""What requests cost in S3, counted at the wire: calls, and rounds of calls that wait for one another."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from registry import app as composition
from registry import chores
from registry.keyring import write_new
from registry.settings import Settings
from registry.signing.cosign import signature_tag
from storage.digest import Digest
from storage.s3 import client as s3_client
from storage.s3.client import S3Client
from tests.crash.served import Served, serve_with
from tests.real.seaweed import Bucket
from tests.registry.consumers.build import CONFIG, OCI_LAYER, PLUGIN, Shape, image, layer, sha256
from tests.registry.wasm.binary import custom

pytestmark = pytest.mark.real

HELD = 0.05
"""Seconds that each call is held up: those that do not wait for one another are under way together."""


@dataclass(frozen=True, slots=True)
class Made:
    """A call that was made: its name in S3, when it was asked for, and when it ended."""

    name: str
    began: float
    ended: float


class Costs:
    """The calls of this process to S3."""

    def __init__(self) -> None:
        self.calls: list[Made] = []
        self._lock = threading.Lock()
        self._asked = threading.local()

    def asked(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        """Note when a thread is given its work: when it comes to that is the machine's business."""

        def submitted(pool: Any, work: Callable[[], Any]) -> Any:
            began = time.monotonic()

            def noted() -> Any:
                self._asked.at = began
                return work()

            return submit(pool, noted)

        return submitted

    def watch(self, client: S3Client) -> None:
        make = client._call

        def call(operation: str, key: str | None, said: dict[str, Any]) -> Any:
            try:
                time.sleep(HELD)
                return make(operation, key, said)
            finally:
                with self._lock:
                    self.calls.append(Made(operation, self._asked.at, time.monotonic()))

        client._call = call  # type: ignore[method-assign]

    def take(self) -> list[Made]:
        """Those that were made since the last time."""
        taken, self.calls = self.calls, []
        return taken


def rounds(calls: list[Made]) -> int:
    """How many calls wait for one another, at most."""
    count, free = 0, 0.0
    for call in sorted(calls, key=lambda made: made.ended):
        if call.began >= free:
            count, free = count + 1, call.ended
    return count


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    counted = Costs()
    begin = S3Client.__init__

    def begin_watched(client: S3Client, *words: Any, **named: Any) -> None:
        begin(client, *words, **named)
        counted.watch(client)

    monkeypatch.setattr(S3Client, "__init__", begin_watched)
    monkeypatch.setattr(s3_client, "_in_thread", counted.asked(s3_client._in_thread))
    return counted


@pytest.fixture
async def served(
    bucket: Bucket, tmp_path: Path, costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    # What is done now and then is not done meanwhile.
    monkeypatch.setattr(chores, "_CHANCE", SimpleNamespace(uniform=lambda *_: 1e6))
    monkeypatch.setattr(chores, "_LOOK_AT_QUOTAS_EVERY", 1e6)
    write_new(tmp_path / "signing.key")
    everybody = {"repositories": "**", "who": ["anonymous"], "may": ["pull", "push"]}
    settings = Settings(
        server={"public_url": "https://plugins.example.com"},  # type: ignore[arg-type]
        storage={"url": bucket.url},  # type: ignore[arg-type]
        signing={"keys": [str(tmp_path / "signing.key")]},  # type: ignore[arg-type]
        access={"rules": [everybody]},  # type: ignore[arg-type]
        # What it names costs more, and nothing else does.
        limits={"quota": [{"repositories": "limited/**", "bytes": "1GiB"}]},  # type: ignore[arg-type]
    )
    await composition.storages.prepared(settings)
    async with serve_with(settings) as server:
        # The first push looks at the format, and what is done at the start is done then.
        await push_as_docker(server, pushed("first"), "first", repository="c/d")
        await server.settle()
        costs.take()
        yield server


def large(title: str) -> bytes:
    """A layer that is too large for its link."""
    return layer(("plugin.wasm", PLUGIN + custom(title, random.Random(title).randbytes(20_000))))


def pushed(title: str) -> Shape:
    return image(title, [(OCI_LAYER, large(title))], None)


async def push_as_docker(served: Served, shape: Shape, tag: str, repository: str = "a/b") -> None:
    """The requests of `docker push`, classic store: of a new layer, and of a config that may be there."""
    *layers, config = [data for data in shape.blobs.values() if data != CONFIG] + [CONFIG]
    for data in (*layers, config):
        if data == config:
            assert (await served.ask("HEAD", f"/v2/{repository}/blobs/{sha256(data)}")).status == 404
        assert (await served.chunked(repository, data, data)).status == 201
        assert (await served.ask("HEAD", f"/v2/{repository}/blobs/{sha256(data)}")).status == 200
    assert (await served.put(repository, tag, shape)).status == 201


@pytest.mark.parametrize(("repository", "most", "waited"), [("a/b", 30, 10), ("limited/b", 75, 38)])
async def test_docker_push(served: Served, costs: Costs, repository: str, most: int, waited: int) -> None:
    """Checked and signed: how many calls, and how many of them wait for one another."""
    shape = pushed("v1")
    await push_as_docker(served, shape, "v1", repository=repository)
    acknowledged = time.monotonic()
    await served.settle()
    calls = costs.take()
    assert len(calls) <= most, [call.name for call in calls]
    assert rounds([call for call in calls if call.began < acknowledged]) <= waited, calls
    signed = await served.ask(
        "GET", f"/v2/{repository}/manifests/{signature_tag(Digest.parse(shape.digest))}"
    )
    assert signed.status == 200


async def test_a_tag_that_moves_costs_no_more(served: Served, costs: Costs) -> None:
    for title in ("v1", "v2"):
        shape = pushed(title)
        for data in shape.blobs.values():
            assert (await served.chunked("a/b", data, data)).status == 201
        await served.settle()
        costs.take()
        assert (await served.put("a/b", "latest", shape)).status == 201
        acknowledged = time.monotonic()
        await served.settle()
        calls = costs.take()
        assert rounds([call for call in calls if call.began < acknowledged]) <= 4, calls


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("HEAD", "blobs/{layer}", 1),
        ("GET", "blobs/{layer}", 2),
        ("GET", "manifests/latest", 2),
        ("GET", "manifests/{manifest}", 1),
        ("HEAD", "manifests/latest", 2),
        ("HEAD", "manifests/{manifest}", 1),
        ("GET", "tags/list?n=100", 1),
        ("GET", "referrers/{manifest}", 5),  # the listing, and two a referrer: both are ours
    ],
    ids=str,
)
async def test_pulls_that_are_cold(served: Served, costs: Costs, method: str, path: str, most: int) -> None:
    shape = pushed("v1")
    for data in shape.blobs.values():
        await served.blob("a/b", data)
    await served.put("a/b", "latest", shape)
    await served.settle()
    await asyncio.sleep(1.1)  # what the push itself has shown is forgotten
    layer = next(digest for digest, data in shape.blobs.items() if data != CONFIG)
    costs.take()
    answer = await served.ask(method, f"/v2/a/b/{path.format(layer=layer, manifest=shape.digest)}")
    assert answer.status == 200
    made = costs.take()
    calls = [call.name for call in made]
    assert len(calls) <= most, calls
    assert all(call.startswith(("get_", "head_", "list_")) for call in calls)
    assert rounds(made) <= 2, made


@pytest.mark.parametrize(
    ("path", "first", "again"),
    [
        ("/plugin.wasm", 10, 3),  # who asks first has it taken out of its layer
        ("", 20, 20),  # the report, with what refers to it and who signed
        ("/history", 1, 1),
        ("/wasmplugin.yaml", 2, 2),
    ],
)
async def test_what_is_told_of_a_plugin(
    served: Served, costs: Costs, path: str, first: int, again: int
) -> None:
    shape = pushed("v1")
    for data in shape.blobs.values():
        await served.blob("a/b", data)
    await served.put("a/b", "latest", shape)
    await served.settle()
    for most in (first, again):
        await asyncio.sleep(1.1)  # what was seen is forgotten
        costs.take()
        assert (await served.ask("GET", f"/plugins/a/b:latest{path}")).status == 200
        await served.settle()
        calls = [call.name for call in costs.take()]
        assert len(calls) <= most, calls
    assert all(call.startswith(("get_", "head_", "list_")) for call in calls)
