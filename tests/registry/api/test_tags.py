import json

import pytest

from tests.registry.consumers.build import PLUGIN, image, layer
from tests.registry.consumers.shapes import B
from tests.registry.talk import Answer, Registry

TAGS = ["V", "_", "a", "a-1", "a.1", "b", "latest", "v1", "v1.0", "v10", "v2"]


@pytest.fixture
def tagged(registry: Registry) -> Registry:
    """A repository with TAGS."""
    for tag in reversed(TAGS):
        assert registry.push(B, tag).status == 201
    return registry


def listed(answer: Answer) -> list[str]:
    """The tags of an answer, cosign's left out."""
    assert answer.status == 200, answer
    found: list[str] = answer.json["tags"]
    return [tag for tag in found if not tag.endswith(".sig")]


def test_all_of_them_in_byte_order(tagged: Registry) -> None:
    answer = tagged.get(f"{tagged.base}/tags/list")
    assert answer["content-type"] == "application/json"
    assert answer.json["name"] == tagged.name
    assert answer.json["tags"] == sorted(answer.json["tags"])
    assert listed(answer) == sorted(TAGS)
    assert answer.all("link") == []


@pytest.mark.parametrize("n", [1, 2, 5, 11, 12])
def test_page_by_page(tagged: Registry, n: int) -> None:
    path = f"{tagged.base}/tags/list?n={n}"
    found: list[str] = []
    while path:
        answer = tagged.get(path)
        assert len(answer.json["tags"]) <= n
        found += listed(answer)
        path = following(answer, f"{tagged.base}/tags/list?")
    assert found == sorted(TAGS)


def following(answer: Answer, begins: str) -> str:
    """The path of the next page: on the same origin, as oras needs it; "" on the last."""
    link = answer.get("link")
    if link is None:
        return ""
    assert link.startswith(f"<{begins}") and link.endswith('>; rel="next"'), link
    return link[1:].partition(">")[0]


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ("last=a", ["a-1", "a.1", "b", "latest", "v1", "v1.0", "v10", "v2"]),
        ("last=a&n=2", ["a-1", "a.1"]),
        ("last=b2", ["latest", "v1", "v1.0", "v10", "v2"]),
        ("last=zzz", []),
        ("last=..%2F..%2Fetc", sorted(TAGS)),
        ("last=%00", sorted(TAGS)),
        ("last=", sorted(TAGS)),
        ("ns=docker.io", sorted(TAGS)),
        ("n=999999999999999999", sorted(TAGS)),
    ],
)
def test_where_it_goes_on(tagged: Registry, query: str, tags: list[str]) -> None:
    assert listed(tagged.get(f"{tagged.base}/tags/list?{query}")) == tags


def test_n_of_nothing(tagged: Registry) -> None:
    answer = tagged.get(f"{tagged.base}/tags/list?n=0")
    assert (answer.status, answer.json, answer.all("link")) == (200, {"name": tagged.name, "tags": []}, [])


@pytest.mark.parametrize("n", ["abc", "-1", "1.5", "", "1e3", "٣".encode().hex("%"), "9" * 30])
def test_n_that_is_no_number(tagged: Registry, n: str) -> None:
    answer = tagged.get(f"{tagged.base}/tags/list?n={n}")
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")
    assert len(answer.body) < 300


@pytest.mark.parametrize("query", ["", "?n=0", "?n=5"])
def test_a_repository_that_is_not_here(registry: Registry, query: str) -> None:
    answer = registry.get(f"{registry.base}/tags/list{query}")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_repository_of_blobs_alone_has_no_tags(registry: Registry) -> None:
    registry.blob(b"x")
    assert registry.get(f"{registry.base}/tags/list").status == 404


def test_a_repository_whose_last_tag_went(registry: Registry) -> None:
    registry.push(B)
    registry.ask("DELETE", f"{registry.base}/manifests/v1")
    assert listed(registry.get(f"{registry.base}/tags/list")) == []


def test_what_is_pushed_by_digest_is_no_tag(registry: Registry) -> None:
    shape = image("by digest", [(B.manifest["layers"][0]["mediaType"], layer(("plugin.wasm", PLUGIN)))], None)
    assert registry.push(shape, shape.digest).status == 201
    assert json.loads(registry.get(f"{registry.base}/tags/list").body)["tags"] == [
        f"{shape.digest.replace(':', '-')}.sig"
    ]
