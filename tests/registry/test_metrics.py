from collections.abc import Callable

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.shapes import B
from tests.registry.talk import MISSING, Connection, Registry, eventually, fresh


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
    assert after['outcome="stale"'] - before.get('outcome="stale"', 0) == 1
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
