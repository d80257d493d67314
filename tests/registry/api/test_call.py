import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from registry.access.principal import Principal
from registry.access.rules import Rules
from registry.api import catalog, tags
from registry.api.call import Call
from registry.web import pages
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import DigestInvalid, NameInvalid, PageInvalid, SizeInvalid
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.store import Store


def call(
    query: str = "", *, headers: dict[str, str] | None = None, body: tuple[bytes, ...] = (), **params: str
) -> Call:
    """A request without the services behind it."""
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v2/a/tags/list",
        "raw_path": b"/v2/a/tags/list",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "path_params": params,
    }
    return Call(Request(scope, receive), None, Principal("", ""), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", ("", None)),
        ("n=5", ("", 5)),
        ("n=0", ("", 0)),
        ("last=v1", ("v1", None)),
        ("last=v1&n=007", ("v1", 7)),
        ("n=999999999999999999", ("", 999999999999999999)),
        ("last=a%2Fb&x=y", ("a/b", None)),
    ],
)
def test_a_page_is_read(query: str, page: tuple[str, int | None]) -> None:
    assert call(query).page() == page


@pytest.mark.parametrize("n", ["abc", "-1", "", "1.0", "+1", " 1", "%D9%A3", "9" * 19, "0x10", "1_0"])
def test_a_page_of_no_size(n: str) -> None:
    with pytest.raises(PageInvalid):
        call(f"n={n}").page()


@pytest.mark.parametrize("n", [None, 4, 10**18 - 1])
async def test_no_page_is_larger_than_the_largest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int | None
) -> None:
    """Whatever is asked for: an answer has an end, and says where it goes on."""
    store = Store(DiskDriver(tmp_path), upload_limit=1)
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        await store.repository("a").tags.put(name, Descriptor(OCI_MANIFEST, Digest.of(b""), 0))
        await DiskDriver(tmp_path).put(paths.catalog(name), b"")
    services = SimpleNamespace(pulls=store, rules=Rules())
    asked = replace(
        call("" if n is None else f"n={n}"),
        services=services,  # type: ignore[arg-type]
        named=store.repository("a"),
    )
    for resource, field in (
        (tags, "tags"),
        (catalog, "repositories"),
        (pages, "tags"),
        (pages, "repositories"),
    ):
        monkeypatch.setattr(resource, "MAX_PAGE", 3)
        answer = await getattr(resource, field if resource is pages else "get")(asked)
        assert json.loads(answer.body)[field] == names[:3]
        assert "n=3&last=c" in answer.headers["link"]


@pytest.mark.parametrize(
    ("query", "last", "limit", "path"),
    [
        pytest.param("", "v1", 5, "?n=5&last=v1", id="plain"),
        pytest.param("n=9&last=a", "v1", 5, "?n=5&last=v1", id="another page"),
        pytest.param("", "v1", None, "?last=v1", id="without a size"),
        pytest.param("artifactType=a%2Fb&ns=x", "v1", 5, "?artifactType=a%2Fb&ns=x&n=5&last=v1", id="others"),
        pytest.param("", "a/b&c", 1, "?n=1&last=a%2Fb%26c", id="escaped"),
        pytest.param("x=%22%3E%0d%0a", "v1", 1, "?x=%22%3E%0D%0A&n=1&last=v1", id="hostile"),
    ],
)
def test_the_next_page_is_a_path(query: str, last: str, limit: int | None, path: str) -> None:
    asked = call(query, headers={"host": "["})
    assert asked.next_path(last, limit) == f"/v2/a/tags/list{path}"
    assert asked.next_page(last, limit) == {"Link": f'</v2/a/tags/list{path}>; rel="next"'}


@pytest.mark.parametrize(
    ("text", "length"), [(None, None), ("0", 0), ("17", 17), ("-1", "bad"), ("1e3", "bad"), ("²", "bad")]
)
def test_the_announced_length(text: str | None, length: object) -> None:
    asked = call(headers={} if text is None else {"content-length": text})
    if length == "bad":
        with pytest.raises(SizeInvalid):
            asked.content_length()
    else:
        assert asked.content_length() == length


def test_digests_and_references() -> None:
    digest = "sha256:" + "0" * 64
    assert str(call(digest=digest).digest()) == digest
    assert call(reference="v1").reference() == "v1"
    assert str(call(reference=digest).reference()) == digest
    assert str(call(f"digest={digest}").query_digest()) == digest
    with pytest.raises(NameInvalid):
        call(reference="-v1").reference()
    for query in ("", "digest=", "digest=latest"):
        with pytest.raises(DigestInvalid):
            call(query).query_digest()
