"""Every route, method and reference, for everybody: generated from the table of routes itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from registry.access.principal import Principal
from registry.access.rights import Right
from registry.access.rules import Rule, Rules
from registry.routes import ROUTES, Route
from tests.registry import guarded as guarding
from tests.registry import issuer as issuing
from tests.registry.consumers.shapes import B
from tests.registry.guarded import ABSENT, GROUP, PRIVATE, PUBLIC, RULES, SECRET, Guarded, basic, stranger
from tests.registry.issuer import IssuerServer
from tests.registry.talk import Answer, Connection

ORACLE = Rules(Rule(names, frozenset({who}), frozenset(map(Right, may.split()))) for names, who, may in RULES)
KNOWN = {
    "admin": (basic("admin"), "user:admin"),
    "pusher": (basic("pusher"), "user:pusher"),
    "puller": (basic("puller"), "user:puller"),
    "other": (basic("other"), "user:other"),
    "idle": (basic("idle"), "user:idle"),
    "robot": (basic("deploy", SECRET), "robot:deploy"),
    "anonymous": ({}, ""),
    "empty": (basic("", ""), ""),
}
GROUPS = {"oidc:ci/octo/app": frozenset({GROUP}), "oidc:ci/octo/other": frozenset({"repo:octo/other"})}
WRONG = {
    "a stranger": stranger,
    "a robot that expired": lambda: basic("gone", SECRET),
    "the secret of another robot": lambda: stranger(SECRET),
    "no base64": lambda: {"Authorization": "Basic !"},
    "no token": lambda: {"Authorization": "Bearer x.y.z"},
    "another scheme": lambda: {"Authorization": "Digest a=b"},
}
BY_TOKEN = " by token"
HIDDEN = "may not see it"
CASES = [
    pytest.param(row, method, id=f"{method} {row.path}")
    for row in ROUTES
    for named in row.methods.split()
    for method in ((named, "HEAD") if named == "GET" else (named,))
]


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    with issuing.running() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, issuer: IssuerServer) -> Iterator[Guarded]:
    claims = {"user": "{repository}", "group": "repo:{repository}"}
    ci = {"name": "ci", "issuer": issuer.url, "audience": "sidecargo", "claims": claims}
    access = {"tokens": {"enabled": True}, "oidc": [ci]}
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"), access=access)
    yield guarded
    guarded.server.stop()


def paths(row: Route, name: str) -> list[str]:
    """The row's path for a repository, by tag and by digest where it has a reference."""
    layer = B.manifest["layers"][0]["digest"]
    digest = layer if "/blobs/" in row.path else B.digest
    words = {"repository": name, "digest": digest, "tag": "v1", "upload": "sha256-" + "0" * 32, "file": "x"}
    words |= {"capability": "scu_" + "0" * 16 + "_" + "A" * 43, "url": "0" * 16}
    plain = row.path.replace(":rest", "")
    references = ("v1", B.digest) if "{reference}" in plain else ("",)
    return [plain.format_map({**words, "reference": reference}) for reference in references]


def member(issuer: IssuerServer, repository: str, audience: str = "sidecargo") -> str:
    """The identity token of a workflow, which is good for as long as the tests take."""
    return issuer.token(audience, seconds=3600, repository=repository)


@pytest.fixture(scope="module")
def known(guarded: Guarded, issuer: IssuerServer) -> dict[str, tuple[dict[str, str], str]]:
    """What everybody shows, and who that is; those who have a name also by a token for all that is here."""
    scopes = [f"repository:{name}:*" for name in (PRIVATE, ABSENT, PUBLIC)] + ["registry:catalog:*"]
    query = "&".join(f"scope={scope}" for scope in scopes)
    inside, outside = (member(issuer, name) for name in ("octo/app", "octo/other"))
    of_groups = {
        "member": (basic("any", inside), "oidc:ci/octo/app"),
        "member by bearer": ({"Authorization": f"Bearer {inside}"}, "oidc:ci/octo/app"),
        "member of another group": (basic("any", outside), "oidc:ci/octo/other"),
    }
    known = KNOWN | of_groups
    for who, (fields, principal) in dict(known).items():
        token = guarded.ask("GET", f"/token?{query}", fields).json["token"]
        known[f"{who}{BY_TOKEN}"] = ({"Authorization": f"Bearer {token}"}, principal)
    return known


def ask(connection: Connection, method: str, path: str, fields: Mapping[str, str]) -> Answer:
    body = None if method in ("GET", "HEAD") else b"{}"
    return connection.ask(method, path, fields, body)


def names_of(row: Route) -> tuple[str, ...]:
    return (PRIVATE, ABSENT, PUBLIC) if "{repository" in row.path else ("",)


@pytest.mark.parametrize(("row", "method"), CASES)
def test_everybody_gets_what_the_rules_give_and_nothing_else(
    guarded: Guarded, known: dict[str, tuple[dict[str, str], str]], row: Route, method: str
) -> None:
    denied: dict[str, set[str]] = {}
    with Connection(guarded.host) as connection:
        for who, name, path in product(known, names_of(row), (0, 1)):
            fields, principal = known[who]
            by_token = who.endswith(BY_TOKEN)
            if row.path == "/token" and by_token:
                continue  # a token gets no tokens
            # No scope is for what belongs to no repository, and a token for everybody is one.
            allowed = may(principal, row, name) and not (by_token and row.right is Right.ADMIN)
            allowed = allowed or (by_token and row.path == "/v2/")
            if path == len(paths(row, name)) or (allowed and method == "DELETE" and name != ABSENT):
                continue  # what is deleted is not there for the others
            for _ in range(2):  # what was allowed to one is now remembered
                answer = ask(connection, method, paths(row, name)[path], fields)
                assert answer.status < 500, answer
                assert answer["x-content-type-options"] == "nosniff"
                if allowed:
                    check_allowed(row, method, name, answer)
                    continue
                limited = by_token and may(principal, row, name)
                check_denied(row, method, "" if limited else principal, name, answer)
                if name in (PRIVATE, ABSENT):
                    told = str(answer.timeless).replace(name, "NAME")
                    denied.setdefault(f"{who} {path}", set()).add(told)
    for who, answers in denied.items():
        assert len(answers) == 1, f"what {who} is told differs by what is there: {answers}"


def check_allowed(row: Route, method: str, name: str, answer: Answer) -> None:
    assert answer.status not in (401, 403), answer
    assert HIDDEN.encode() not in answer.body, answer
    if method in ("GET", "HEAD") and name in (PRIVATE, PUBLIC) and is_there(row):
        assert answer.status == 200, answer


def may(principal: str, row: Route, name: str) -> bool:
    asker = Principal(principal, "127.0.0.1", GROUPS.get(principal, frozenset()))
    if row.path == "/v2/":
        return bool(principal)
    if not name and row.right is Right.PULL:
        return ORACLE.may_list(asker)
    rights = [right for right in (row.right, row.or_right) if right]
    return any(ORACLE.allow(asker, right, name or None) for right in rights)


def is_there(row: Route) -> bool:
    return "{upload}" not in row.path and "{file}" not in row.path


def check_denied(row: Route, method: str, principal: str, name: str, answer: Answer) -> None:
    groups = GROUPS.get(principal, frozenset())
    sees = bool(name) and ORACLE.allow(Principal(principal, "", groups), Right.PULL, name)
    if not principal:
        expected = (401, "UNAUTHORIZED")
        url = r'realm="http://127\.0\.0\.1:\d+'
        asked = rf'Bearer {url}/token",service=.*' if row.path.startswith("/v2/") else rf'Basic {url}"'
        assert re.fullmatch(asked, answer["www-authenticate"])
    elif not name or (sees and row.right is not Right.PULL):
        expected = (403, "DENIED")
    else:
        expected = (404, "NAME_UNKNOWN")
    assert answer.status == expected[0], (principal, name, answer)
    if method != "HEAD":
        assert answer.code == expected[1]


@pytest.mark.parametrize(("row", "method"), CASES)
def test_whoever_shows_something_wrong_gets_nothing(
    guarded: Guarded, issuer: IssuerServer, row: Route, method: str
) -> None:
    elsewhere = member(issuer, "octo/app", "elsewhere")
    of_groups = {
        "an identity token for others": lambda: basic("any", elsewhere),
        "the same by itself": lambda: {"Authorization": f"Bearer {elsewhere}"},
        "one with another signature": lambda: basic("any", elsewhere[:-8] + "A" * 8),
        "no personal token": lambda: basic("any", "scp_x.y.z"),
    }
    with Connection(guarded.host) as connection:
        for path in (path for name in names_of(row) for path in paths(row, name)):
            connection.ask("GET", path, basic("admin"))  # it may be remembered now
            for wrong in (WRONG | of_groups).values():
                answer = ask(connection, method, path, wrong())
                assert answer.status == 401, answer
                assert answer["www-authenticate"]
                if method != "HEAD":
                    assert answer.code == "UNAUTHORIZED"


def test_there_is_no_route_without_a_right() -> None:
    assert all(isinstance(row.right, Right) for row in ROUTES)
    assert {row.path for row in ROUTES if row.right is Right.OPEN} == {
        "/v2/", "/token", "/keys/", "/keys/cosign.pub", "/healthz", "/readyz", "/", "/style.css",
        "/login", "/login/callback",
    }  # fmt: skip
