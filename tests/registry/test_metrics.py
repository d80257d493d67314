from collections.abc import Callable
from pathlib import Path

import pytest

from registry.hot.cache import HotCache
from registry.metrics import Metrics
from storage.disk import DiskDriver
from storage.remembered import Remembered
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.shapes import B
from tests.registry.talk import MISSING, Connection, Registry, eventually, fresh
from tests.storage.streams import outcome
from tests.storage.unsteady import Clock, Unsteady


def requests(registry: Registry) -> dict[str, float]:
    return registry.counts("sidecargo_requests_total")


def label(method: str, route: str, status: int) -> str:
    return f'method="{method}",route="{route}",status="{status}"'


MANIFESTS = "/v2/{repository:rest}/manifests/{reference}"


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("GET", "/v2/", label("GET", "/v2/", 200)),
        ("HEAD", "/v2/", label("HEAD", "/v2/", 200)),
        ("GET", "/v2/r/manifests/v1", label("GET", MANIFESTS, 404)),
        ("GET", "/v2/R/manifests/v1", label("GET", MANIFESTS, 400)),
        ("DELETE", f"/v2/r/manifests/{MISSING}", label("DELETE", MANIFESTS, 404)),
        ("GET", "/plugins/r:v1", label("GET", "/plugins/{repository:rest}:{tag}", 404)),
    ],
)
def test_an_answer_is_counted_by_route_and_status(
    registry: Registry, method: str, path: str, counted: str
) -> None:
    before = requests(registry).get(counted, 0)
    registry.ask(method, path)
    assert requests(registry)[counted] == before + 1


def test_names_make_no_series_of_their_own(registry: Registry) -> None:
    before = len(requests(registry))
    for number in range(50):
        registry.get(f"/v2/r/manifests/other-{number}")
        registry.get(f"/nothing/{number}")
    assert len(requests(registry)) <= before + 1


def test_the_hot_path_is_counted(registry: Registry) -> None:
    registry.push(B)
    path = f"{registry.base}/manifests/v1"
    before, sent = registry.counts("sidecargo_hot_total"), registry.counts("sidecargo_hot_bytes_total")[""]
    with Connection(registry.host) as connection:
        for _ in range(3):
            connection.ask("GET", path)
        registry.ask("DELETE", path)
        connection.ask("GET", path)
    after = registry.counts("sidecargo_hot_total")
    assert after['outcome="hits"'] - before.get('outcome="hits"', 0) == 2
    assert after['outcome="misses"'] - before.get('outcome="misses"', 0) >= 2
    assert registry.counts("sidecargo_hot_bytes_total")[""] - sent == 2 * len(B.body)
    assert registry.counts("sidecargo_hot_used_bytes")[""] >= 0


def test_a_scrape_shows_the_sum_of_all_workers(serve: Callable[..., Sidecargo]) -> None:
    registry = fresh(serve("--workers", "2").host)
    before = requests(registry).get(label("GET", "/healthz", 200), 0)
    for _ in range(40):
        registry.get("/healthz")
    for _ in range(5):
        assert requests(registry)[label("GET", "/healthz", 200)] == before + 40
    registry.push(B)
    for _ in range(20):
        registry.get(f"{registry.base}/manifests/v1")
    eventually(lambda: registry.counts("sidecargo_hot_total").get('outcome="hits"', 0) >= 18)


def store_counts(metrics: Metrics) -> dict[str, float]:
    """What is counted of the store."""
    lines = [line.rsplit(" ", 1) for line in metrics.text().decode().splitlines() if line[0] != "#"]
    found = {name.removeprefix("sidecargo_store_"): float(value) for name, value in lines}
    return {name: found[name] for name in found if "_created" not in name and "sidecargo" not in name}


async def test_the_memory_in_front_of_a_store_is_counted(tmp_path: Path) -> None:
    store, clock = Unsteady(DiskDriver(tmp_path)), Clock()
    remembered = Remembered(store.driver, clock=clock)
    metrics = Metrics(HotCache(0), remembered)
    await store.put("t/v1", b"one")
    for _ in range(4):
        await remembered.get("t/v1")
    clock.now += 60
    store.down = True
    for _ in range(3):
        await remembered.get("t/v1")
    await outcome(remembered.get("t/v2"))
    reads = [("fetched", 2), ("remembered", 3), ("stale", 3), ("refused", 1)]
    expected = {f'reads_total{{outcome="{name}"}}': float(number) for name, number in reads}
    for _ in range(2):
        counts = store_counts(metrics)
        assert counts == expected | {
            "failures_total": 1.0,
            "degraded": 1.0,
            "remembered_bytes": float(remembered.used),
        }
    store.down = False
    clock.now += 10
    remembered._circuit.nudge()
    assert remembered._circuit._probing is not None
    await remembered._circuit._probing
    assert store_counts(metrics)["degraded"] == 0.0


def test_without_a_memory_nothing_is_counted_of_it() -> None:
    assert store_counts(Metrics(HotCache(0))) == {}
