"""Signing in by a browser: a person, an issuer, and what docker does with the token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest

from registry import keyring
from registry.access.signin import Attempt
from tests.real import sidecargo
from tests.real.sidecargo import Sidecargo
from tests.registry.guarded import basic
from tests.registry.issuer import CLIENT, DISCOVERY, SECRET, TOKEN, IssuerServer, running
from tests.registry.talk import Answer, Registry

ALICE = {"sub": "1", "hd": "example.com", "email": "alice@example.com", "groups": ["dev", "elsewhere"]}


@pytest.fixture(scope="module", name="running_issuer")
def _issuer() -> Iterator[IssuerServer]:
    with running() as issuer:
        yield issuer


@pytest.fixture
def issuer(running_issuer: IssuerServer) -> IssuerServer:
    """An issuer where Alice signs in, and that was asked for nothing yet."""
    running_issuer.person = dict(ALICE)
    running_issuer.asked.clear()
    return running_issuer


PUBLIC = "https://plugins.example.com"
Start = Callable[..., "Person"]


class Person:
    """A browser: what it keeps, and where it is sent."""

    def __init__(self, server: Sidecargo, url: str) -> None:
        self.server, self.url = server, url
        self.registry = Registry(server.host, "")
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []

    def get(self, path: str) -> Answer:
        fields = {"Accept": "text/html"}
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.registry.get(path, fields)
        for said in answer.all("set-cookie"):
            self.set.append(said)
            name, _, value = said.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return answer

    def begin(self) -> str:
        """Where the issuer sends it back to, once somebody has signed in there."""
        answer = self.get("/login?issuer=sso")
        assert answer.status == 302, answer
        back = following(answer["location"])
        assert back.startswith(f"{self.url}/login/callback?"), back
        return back.removeprefix(self.url)

    def token(self) -> str:
        page = self.get(self.begin())
        assert page.status == 200, page
        (token,) = set(re.findall(r"scp_[A-Za-z0-9._-]+", page.body.decode()))
        return token


def shown(answer: Answer) -> str:
    """What a person is shown."""
    assert answer["content-type"].startswith("text/html"), answer
    return answer.body.decode()


def following(url: str) -> str:
    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        build_opener(Stay).open(Request(url))
    except OSError as redirect:
        return str(redirect.headers["Location"])  # type: ignore[attr-defined]
    raise AssertionError("no redirect")


def settings(folder: Path, issuer: IssuerServer, url: str = "", **access: Any) -> Path:
    entry = {
        "name": "sso",
        "issuer": issuer.url,
        "audience": "sidecargo",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "claims": {"user": "{email}", "group": "{groups}"},
        "require": {"hd": "example.com"},
    }
    rules = [
        {"repositories": "team/**", "who": ["group:dev"], "may": ["pull", "push"]},
        {"repositories": "**", "who": ["authenticated"], "may": ["pull"]},
    ]
    section = {"tokens": {"enabled": True}, "oidc": [entry], "rules": rules, **access}
    server = {"public_url": url} if url else {}
    path = folder / "settings.yaml"
    path.write_text(json.dumps({"access": section, "server": server, "audit": {"file": "audit"}}))
    return path


@pytest.fixture(scope="module")
def server(running_issuer: IssuerServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    folder = tmp_path_factory.mktemp("login")
    server = sidecargo.start(folder, settings=settings(folder, running_issuer))
    yield server
    server.stop()


@pytest.fixture
def someone(server: Sidecargo, issuer: IssuerServer) -> Person:
    """A browser at the server that all tests share, about which nothing was recorded yet."""
    (server.folder / "audit").write_text("")
    return Person(server, server.url)


@pytest.fixture
def start(serve: Callable[..., Sidecargo], issuer: IssuerServer, tmp_path: Path) -> Start:
    """A browser at a server with settings of its own."""

    def start(url: str = "", **access: Any) -> Person:
        running = serve(settings=settings(tmp_path, issuer, url, **access))
        return Person(running, url or running.url)

    return start


def audited(person: Person) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (person.server.folder / "audit").read_text().splitlines()]
    return [{name: line.get(name) for name in ("verdict", "who", "problems", "what")} for line in lines
            if line["event"] == "login"]  # fmt: skip


def scope(person: Person, token: str, asked: str) -> str:
    answer = person.registry.get(f"/token?scope={asked}&offline_token=true", basic("any", token))
    assert answer.status == 200, answer
    assert "refresh_token" not in answer.json, "it would outlive the token by which it was got"
    return str(answer.json["scope"])


def test_a_person_signs_in_and_docker_logs_in(someone: Person, issuer: IssuerServer) -> None:
    assert b'<a href="/login">Sign in</a>' in someone.get("/").body
    assert b'href="/login?issuer=sso"' in someone.get("/login").body
    page = someone.get(someone.begin())
    assert page.status == 200, page
    assert (page["cache-control"], page["referrer-policy"]) == ("no-store", "no-referrer")
    assert "script" not in page["content-security-policy"]
    assert page["content-security-policy"].startswith("default-src 'none'")
    text = page.body.decode()
    assert "oidc:sso/alice@example.com" in text and "<code>dev</code>" in text and "elsewhere" not in text
    assert f"docker login {someone.server.host} --username" in text
    (token,) = set(re.findall(r"scp_[A-Za-z0-9._-]+", text))
    assert scope(someone, token, "repository:team/x:pull,push") == "repository:team/x:pull,push"
    assert scope(someone, token, "repository:other/x:pull,push") == "repository:other/x:pull"
    (record,) = audited(someone)
    assert record["verdict"] == "given" and record["who"] == "oidc:sso/alice@example.com"
    assert record["what"] in text
    logged = (someone.server.folder / "audit").read_text() + someone.server.process.said()
    assert token not in logged and SECRET not in logged and "code=" not in logged
    assert issuer.asked.count(f"POST {TOKEN}") == 1


def test_the_cookie_is_for_nobody_else_and_ends(someone: Person) -> None:
    someone.token()
    begun, ended = someone.set
    assert begun.startswith("sidecargo-login=") and "Max-Age=600" in begun
    assert "Max-Age=0" in ended
    for said in someone.set:
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(said.split("; ")), said


def test_what_this_browser_did_not_begin(someone: Person, issuer: IssuerServer) -> None:
    victim, attacker = someone, Person(someone.server, someone.url)
    back = attacker.begin()
    assert victim.get(back).status == 400, "without a cookie"
    victim.begin()
    assert victim.get(back).status == 400, "with another one"
    assert issuer.asked.count(f"POST {TOKEN}") == 0, "nobody is asked for what cannot be"
    assert victim.get("/login/callback").status == 400
    mixed = f"{attacker.begin()}&{urlencode({'iss': 'https://evil.example'})}"
    assert attacker.get(mixed).status == 400
    forged = Attempt.begin("other")
    attacker.cookies = {"sidecargo-login": forged.kept}
    (state,) = re.findall(r"state=([^&]+)", forged.url("http://x", "x", (), "x"))
    answer = attacker.get(f"/login/callback?code=x&state={state}")
    assert "there is no such issuer" in shown(answer)


def test_a_code_is_good_once(someone: Person) -> None:
    back = someone.begin()
    kept = dict(someone.cookies)
    assert someone.get(back).status == 200
    someone.cookies = kept
    assert someone.get(back).status == 503


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another login's": ({"nonce": "other"}, "nonce"),
    "for another client": ({"aud": "other"}, "audience"),
    "for whom tokens are taken as passwords": ({"aud": "sidecargo"}, "audience"),
    "over": ({"exp": 1}, "expired"),
    "of another issuer": ({"iss": "https://evil.example"}, "issuer"),
    "of an address that is not verified": ({"email_verified": False}, "name"),
    "not let in": ({"hd": "elsewhere"}, "required"),
}


@pytest.mark.parametrize("name", WRONG)
def test_who_is_not_let_in_gets_no_token(someone: Person, issuer: IssuerServer, name: str) -> None:
    claims, problem = WRONG[name]
    issuer.person |= claims
    answer = someone.get(someone.begin())
    assert answer.status == 403, answer
    assert "scp_" not in shown(answer)
    assert audited(someone) == [
        {"verdict": "failed", "who": "oidc:sso", "problems": [problem], "what": None}
    ]  # fmt: skip


def test_who_said_no_there(someone: Person) -> None:
    back = re.sub(r"code=[^&]+", "error=access_denied", someone.begin())
    answer = someone.get(back)
    assert answer.status == 403
    assert "access_denied" in shown(answer)


def test_who_is_out_gets_none_and_those_from_before_are_over(start: Start, tmp_path: Path) -> None:
    keyring.write_new(tmp_path / "tokens.key")
    replicas: dict[str, Any] = {"url": PUBLIC, "tokens": {"key": str(tmp_path / "tokens.key")}}
    before = start(**replicas)
    lost, kept = before.token(), before.token()
    assert all(said.startswith("__Host-sidecargo-login=") for said in before.set)
    assert all("Secure" in said.split("; ") for said in before.set)
    ids = [record["what"] for record in audited(before)]
    short = [before.registry.get("/token", basic("any", shown)).json["token"] for shown in (lost, kept)]
    one = start(**replicas, personal={"revoked": [ids[0]]})
    assert one.registry.get("/v2/", basic("any", lost)).status == 401
    assert one.registry.get("/v2/", basic("any", kept)).status == 200
    bearers = [one.registry.get("/v2/", {"Authorization": f"Bearer {shown}"}).status for shown in short]
    assert bearers == [401, 200], "what was got by it is over, too"
    out = start(**replicas, personal={"revoked": ["oidc:sso/alice@example.com"]})
    assert out.get(out.begin()).status == 403
    assert out.registry.get("/v2/", basic("any", kept)).status == 401


def test_what_is_told_while_the_issuer_is_silent(start: Start, issuer: IssuerServer) -> None:
    someone = start()
    issuer.answers[DISCOVERY] = b"x"
    answer = someone.get("/login?issuer=sso")
    assert (answer.status, answer["retry-after"]) == (503, "5")
    assert "Try again in a few seconds." in shown(answer)
    assert "nobody can sign in with sso" in someone.server.process.said()
    del issuer.answers[DISCOVERY]
    issuer.document = {"authorization_endpoint": "javascript:alert(1)"}
    assert someone.get("/login?issuer=sso").status == 503
    issuer.document.clear()


@pytest.mark.parametrize(
    "path", ["/login?issuer=other", "/login?issuer=", "/login?issuer=%0d%0aSet-Cookie:x"]
)
def test_an_issuer_that_is_none(someone: Person, path: str) -> None:
    answer = someone.get(path)
    assert answer.status == 400
    assert "Choose one at /login." in shown(answer)
    assert answer.all("set-cookie") == []


def test_where_nobody_signs_in_there_is_no_page(registry: Registry) -> None:
    for path in ("/login", "/login/callback"):
        answer = registry.get(path)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert b"/login" not in registry.get("/", {"Accept": "text/html"}).body
