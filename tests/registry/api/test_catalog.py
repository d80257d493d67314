from collections.abc import Callable

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.api.test_tags import following
from tests.registry.consumers.shapes import B
from tests.registry.talk import Registry

NAMES = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "ab", "b", "b/tags", "zz"]


@pytest.fixture
def named(serve: Callable[..., Sidecargo]) -> Registry:
    """A registry with repositories of NAMES."""
    host = serve().host
    for name in NAMES:
        assert Registry(host, name).push(B).status == 201
    return Registry(host, "a")


def test_pages_of_repositories(named: Registry) -> None:
    everything = named.get("/v2/_catalog")
    assert everything["content-type"] == "application/json"
    assert everything.json == {"repositories": sorted(NAMES)}
    assert everything.all("link") == []
    for n in (1, 3, 10, 11):
        path, found = f"/v2/_catalog?n={n}", []
        while path:
            answer = named.get(path)
            assert len(answer.json["repositories"]) <= n
            found += answer.json["repositories"]
            path = following(answer, "/v2/_catalog?")
        assert found == sorted(NAMES)
    after = {
        "last=a": sorted(NAMES)[1:],
        "last=a/b&n=1": ["a/b/c"],
        "last=ab%2F": ["b", "b/tags", "zz"],
        "last=zzz": [],
        "n=0": [],
        "last=..": sorted(NAMES),
    }
    for query, names in after.items():
        answer = named.get(f"/v2/_catalog?{query}")
        assert (answer.status, answer.json) == (200, {"repositories": names}), query
    for query in ("n=abc", "n=-1", "n=", "n=1.5"):
        answer = named.get(f"/v2/_catalog?{query}")
        assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID"), query
