from collections.abc import Callable

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry, fresh


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
