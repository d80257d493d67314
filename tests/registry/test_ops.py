import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import Response

from registry import ops
from registry.api.call import Call
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.remembered import Remembered
from storage.store import Store
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry, fresh
from tests.storage.unsteady import Clock, Unsteady


@pytest.mark.parametrize(("path", "says"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_alive_and_ready(registry: Registry, path: str, says: str) -> None:
    answer = registry.get(path)
    assert (answer.status, answer.json) == (200, {"status": says})
    assert registry.ask("HEAD", path).status == 200


def test_metrics_are_prometheus_s(registry: Registry) -> None:
    answer = registry.get("/metrics")
    assert answer.status == 200
    assert answer["content-type"].startswith("text/plain; version=")
    assert b"# TYPE sidecargo_requests_total counter" in answer.body


def test_not_ready_without_its_store(serve: Callable[..., Sidecargo]) -> None:
    server = serve()
    registry, data = fresh(server.host), server.folder / "data"
    data.rename(server.folder / "away")
    answer = registry.get("/readyz")
    assert (answer.status, answer.code, answer["retry-after"]) == (503, "UNAVAILABLE", "5")
    assert registry.get("/healthz").status == 200
    (server.folder / "away").rename(data)
    assert registry.get("/readyz").status == 200


class Replica:
    """A process in front of a store that a test breaks."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.store = Unsteady(DiskDriver(root))
        self.remembered = Remembered(self.store.driver, clock=self.clock)
        self.content = Store(self.remembered.asking, upload_limit=1)
        services = SimpleNamespace(store=self.content, remembered=self.remembered)
        self._call = cast(Call, SimpleNamespace(services=services))

    async def readyz(self) -> tuple[int, dict[str, Any]]:
        """Its answer to a probe; raises what becomes 503."""
        response: Response = await ops.readyz(self._call)
        return response.status_code, json.loads(bytes(response.body))


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    replica = Replica(tmp_path / "store")
    yield replica
    await replica.remembered.close()


async def test_ready_but_degraded_while_pulls_are_served(replica: Replica) -> None:
    await replica.content.open()
    assert await replica.readyz() == (200, {"status": "ready"})
    replica.store.down = True
    for _ in range(3):
        status, said = await replica.readyz()
        assert (status, said["status"], list(said)) == (200, "degraded", ["status", "since", "message"])
        assert said["since"].endswith("+00:00")
    calls = len(replica.store.calls)
    await replica.readyz()
    assert len(replica.store.calls) == calls, "nobody waits for the store"
    replica.clock.now += 899
    assert (await replica.readyz())[0] == 200
    replica.clock.now += 2
    with pytest.raises(StoreUnavailable):
        await replica.readyz()


async def test_ready_again_with_its_store(replica: Replica) -> None:
    await replica.content.open()
    replica.store.down = True
    await replica.readyz()
    replica.store.down = False
    replica.clock.now += 1
    assert (await replica.readyz())[1]["status"] == "degraded"
    probing = replica.remembered._circuit._probing
    assert probing is not None, "who asks whether it is ready has the store probed"
    await probing
    assert await replica.readyz() == (200, {"status": "ready"})


async def test_not_ready_where_the_store_was_never_reached(replica: Replica) -> None:
    replica.store.down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await replica.readyz()


async def test_not_ready_where_the_store_answers_that_it_is_empty(replica: Replica) -> None:
    await replica.content.open()
    await replica.store.delete("format")
    with pytest.raises(StoreUnavailable, match="not there any more"):
        await replica.readyz()
