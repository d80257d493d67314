import re

import pytest

from registry.access.rights import Right
from registry.routes import ROUTES, Route
from tests.real.tools import ROOT
from tests.registry.talk import Connection, Registry

METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")
NAMED = ("repository", "reference", "tag", "digest", "upload", "file", "capability", "url")
CAPABILITY = "scu_" + "0" * 16 + "_" + "A" * 43
JUNK = {
    "words": dict(
        zip(NAMED, ("no/such", "v1", "v1", "sha256:" + "1" * 64, "x", "a.yaml", CAPABILITY, "0"), strict=True)
    ),
    "wrong": dict(zip(NAMED, ("NO//such", "-", "-", "sha256:", "%00", "%00", "%00", "%00"), strict=True)),
    "up": dict(zip(NAMED, ("a/../b", "..", "..", "..", "..", "..", "..", ".."), strict=True)),
    "stars": dict.fromkeys(NAMED, "*"),
    "long": dict.fromkeys(NAMED, "a" * 5000),
}
QUERIES = ("", "?n=abc&last=%ff&digest=x&mount=y&from=z&tag=%00&artifactType=%ff", "?" + "n=1&" * 300)


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.methods} {row.path}")
def test_every_row_has_a_right(row: Route) -> None:
    assert isinstance(row.right, Right)
    named = "{repository:rest}" in row.path
    if row.right is Right.OPEN:
        assert not named, "what shows something of a repository is not open"
    if "/urls" in row.path:
        # Who may pull may have one without a login, who looks after the repository ends them.
        assert row.right is (Right.PULL if row.methods == "POST" else Right.PUSH)
        assert row.or_right is (None if row.methods == "POST" else Right.ADMIN)
        return
    assert row.or_right is None
    if row.methods == "DELETE" and "/uploads/" not in row.path:
        assert row.right is Right.DELETE
    elif row.methods != "GET" and row.path != "/token":
        assert row.right is Right.PUSH


def test_no_row_is_hidden_by_another() -> None:
    rows = [(method, row.path) for row in ROUTES for method in row.methods.split()]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("query", QUERIES, ids=["plain", "junk query", "long query"])
@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("path", dict.fromkeys(row.path for row in ROUTES))
def test_junk_is_answered_by_no_fault(registry: Registry, path: str, junk: str, query: str) -> None:
    filled = path.replace(":rest", "").format_map(JUNK[junk])
    allowed = {method for row in ROUTES if row.path == path for method in row.methods.split()}
    with Connection(registry.host) as connection:
        for method in METHODS:
            answer = connection.ask(method, filled + query, body=None if method in ("GET", "HEAD") else b"{}")
            assert answer.status < 500, (method, answer)
            if answer.status >= 400 and method != "HEAD":
                assert answer.code
            if answer.status == 405:
                assert method not in allowed


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v2/", "GET, HEAD"),
        ("/v2/a/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("/v2/a/blobs/sha256:0", "DELETE, GET, HEAD"),
        ("/v2/a/blobs/uploads/", "POST"),
        ("/v2/a/blobs/uploads/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/plugins/a:v1/plugin.wasm", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(registry: Registry, path: str, methods: str) -> None:
    answer = registry.ask("OPTIONS", path)
    assert (answer.status, answer.code, answer["allow"]) == (405, "UNSUPPORTED", methods)


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/a", "/v2/a/manifests/", "/v2/a/manifests/v1/", "/x", "/V2/", "/keys", "//v2/"]
)
def test_what_is_no_path_is_answered_in_the_spec_s_form(registry: Registry, path: str) -> None:
    answer = registry.get(path)
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_the_page_of_paths_is_complete() -> None:
    """docs/http.md has a row for each path and method, and none for what is not there."""
    rows = re.findall(r"^\| `([A-Z, ]+) (/[^`]*)`", (ROOT / "docs" / "http.md").read_text(), re.MULTILINE)
    documented = {(method, path) for methods, path in rows for method in methods.split(", ")}
    there = {(method, shown(row.path), row.right.value) for row in ROUTES for method in row.methods.split()}
    assert documented == {(method, path) for method, path, _ in there}


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.methods} {row.path}")
def test_the_page_of_paths_says_the_right_that_each_needs(row: Route) -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    for method in row.methods.split():
        pattern = rf"^\| `(?:[A-Z, ]+, )?{method}(?:, [A-Z, ]+)? {re.escape(shown(row.path))}` \| (\w+) \|"
        assert re.findall(pattern, page, re.MULTILINE) == [row.right.value], method


def shown(path: str) -> str:
    """A path of the table as the documentation writes it."""
    path = path.replace("{repository:rest}", "REPO")
    return re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)
