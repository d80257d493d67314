import pytest

from tests.registry.talk import Registry


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_is_a_registry(registry: Registry, method: str) -> None:
    # go-containerregistry goes on for 200 and 401 only.
    answer = registry.ask(method, "/v2/")
    assert answer.status == 200
    assert answer["content-type"] == "application/json"
    assert answer["docker-distribution-api-version"] == "registry/2.0"
    assert answer["content-length"] == "2"
    assert answer.body == (b"{}" if method == "GET" else b"")


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_it_only_answers(registry: Registry, method: str) -> None:
    answer = registry.ask(method, "/v2/")
    assert (answer.status, answer.code, answer["allow"]) == (405, "UNSUPPORTED", "GET, HEAD")
