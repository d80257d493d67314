from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from registry.access.claims import Naming, Template
from registry.access.idtokens import said
from registry.access.issuers import Issuer
from registry.login import provider as module
from registry.login.asking import Asking, IssuerSilent
from registry.login.provider import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    LEAST_SECONDS,
    Client,
    Endpoints,
    Place,
    Provider,
)
from tests.registry.certificates import Authority
from tests.registry.issuer import CLIENT, DISCOVERY, KEYS, SECRET, TOKEN, IssuerServer, running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with running() as issuer:
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(issuer: IssuerServer, clock: Clock) -> AsyncIterator[Any]:
    asking = Asking()

    def make(client: Client | None = None, url: str = "", **place: Any) -> Provider:
        known = Issuer("test", url or issuer.url, "sidecargo", Naming(Template.parse("{sub}")), ("RS256",))
        return Provider(known, Place(**place), asking, client, clock)

    yield make
    await asking.close()


ONCE = [f"GET {DISCOVERY}", f"GET {KEYS}"]


async def test_keys_are_asked_for_once_for_all(make: Any, issuer: IssuerServer, clock: Clock) -> None:
    provider = make()
    assert issuer.asked == [], "nobody is asked before it is needed"
    found = await asyncio.gather(*(provider.key("one") for _ in range(50)))
    assert len(set(map(id, found))) == 1 and found[0] is not None
    clock.now += FRESH_SECONDS - 1
    await provider.key("one")
    assert issuer.asked == ONCE


async def test_a_key_that_is_unknown_is_a_reason_to_ask_but_not_always(
    make: Any, issuer: IssuerServer, clock: Clock
) -> None:
    provider = make()
    await provider.key("one")
    issuer.key("two")
    for _ in range(20):
        assert await provider.key("two") is None
    assert issuer.asked == ONCE
    clock.now += LEAST_SECONDS
    assert await provider.key("two") is not None
    assert issuer.asked == ONCE * 2


async def test_old_keys_are_used_while_others_are_asked_for(
    make: Any, issuer: IssuerServer, clock: Clock
) -> None:
    provider = make()
    await provider.key("one")
    del issuer.keys["one"]
    issuer.key("two")
    clock.now += FRESH_SECONDS
    assert await provider.key("one") is not None, "nobody waits"
    await provider._under_way
    assert await provider.key("one") is None
    assert await provider.key("two") is not None


async def test_while_the_issuer_is_silent_its_keys_count_for_a_day(
    make: Any, issuer: IssuerServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider = make()
    await provider.key("one")
    issuer.status = 500
    for _ in range(3):
        clock.now += FRESH_SECONDS * 2
        assert await provider.key("one") is not None
        await provider._under_way
    assert "those that are known count for 18 hours more" in caplog.text
    clock.now += KEPT_SECONDS
    with pytest.raises(IssuerSilent):
        await provider.key("one")
    issuer.status = 200
    with pytest.raises(IssuerSilent):
        await provider.key("one")  # it was asked just now
    clock.now += LEAST_SECONDS
    assert await provider.key("one") is not None


async def test_nothing_is_known_of_one_that_never_answered(
    make: Any, issuer: IssuerServer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.status = 500
    provider = make()
    for _ in range(10):
        with pytest.raises(IssuerSilent, match="are not known"):
            await provider.key("one")
    assert len(issuer.asked) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "none are known" in caplog.text and "answered 500" in caplog.text


SAID = {
    "of another issuer": ({"issuer": "https://evil.example"}, "is of another issuer"),
    "keys elsewhere": ({"jwks_uri": "https://evil.example/keys"}, "not its own host"),
    "keys on another port": ({"jwks_uri": "http://127.0.0.1:1/keys"}, "not its own host"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "not its own host"),
    "keys of the metadata of a cloud": ({"jwks_uri": "http://169.254.169.254/"}, "not its own host"),
    "no keys": ({"jwks_uri": None}, "without jwks_uri"),
    "a tokens' place elsewhere": ({"token_endpoint": "https://evil.example/"}, "not its own host"),
}


@pytest.mark.parametrize(("document", "message"), SAID.values(), ids=SAID)
async def test_nobody_is_asked_to_whom_the_issuer_only_leads(
    make: Any, issuer: IssuerServer, document: dict[str, Any], message: str
) -> None:
    issuer.document = document
    with pytest.raises(IssuerSilent, match=message):
        await make(Client(CLIENT)).endpoints()
    assert issuer.asked == [f"GET {DISCOVERY}"]


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"\xff", b"[" * 100_000])
async def test_what_is_no_answer(make: Any, issuer: IssuerServer, body: bytes) -> None:
    issuer.answers[DISCOVERY] = body
    with pytest.raises(IssuerSilent, match="no JSON object"):
        await make().endpoints()
    issuer.answers = {KEYS: body}
    with pytest.raises(IssuerSilent):
        await make().key("one")


async def test_hosts_that_are_named_are_asked(make: Any, issuer: IssuerServer, tmp_path: Path) -> None:
    with running() as other:
        other.keys["three"] = issuer.key("three")
        issuer.document = {"jwks_uri": other.url + KEYS}
        (tmp_path / "token").write_text("seen")
        provider = make(hosts=(urlsplit(other.url).netloc,), token=str(tmp_path / "token"))
        assert await provider.key("three") is not None
        assert other.bearers == [""], "what the issuer wants to see is for the issuer"
        assert issuer.bearers == ["Bearer seen"]


async def test_keys_of_a_place_of_their_own_need_no_discovery(make: Any, tmp_path: Path) -> None:
    with running() as cluster:
        (tmp_path / "token").write_text("seen\n")
        seen = str(tmp_path / "token")
        of_url = make(url="https://kubernetes.default.svc", keys=cluster.url + KEYS, token=seen)
        assert await of_url.key("one") is not None
        assert (cluster.asked, cluster.bearers) == ([f"GET {KEYS}"], ["Bearer seen"])
    (tmp_path / "keys.json").write_bytes(cluster.jwks)
    of_file = make(url="https://kubernetes.default.svc", keys=str(tmp_path / "keys.json"))
    assert await of_file.key("one") is not None


async def test_an_authority_of_its_own(make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As within a cluster: keys by https, by whom no system trusts, for who shows a token."""
    authority = Authority(tmp_path)
    files, context = authority.make("cluster"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    (tmp_path / "token").write_text("seen")
    with running(context) as cluster:
        place = {"url": cluster.url, "token": str(tmp_path / "token")}
        with pytest.raises(IssuerSilent):
            await make(**place).key("one")
        assert cluster.bearers == [], "nothing is shown to whom nobody knows"
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
        provider = make(**place, ca=str(authority.root))
        assert await provider.key("one") is not None
        assert cluster.bearers == ["Bearer seen"] * 2


@pytest.mark.parametrize("missing", ["keys", "token", "ca"])
async def test_files_that_are_not_there(
    make: Any, issuer: IssuerServer, tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = issuer.url.replace("http:", "https:") if missing == "ca" else ""
    with pytest.raises(IssuerSilent):
        await make(url=url, **{missing: str(tmp_path / "none")}).key("one")
    assert "No such file" in caplog.text


async def test_what_is_to_be_shown_is_never_logged(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").write_text("hunter2\nhunter2")
    with pytest.raises(IssuerSilent):
        await make(token=str(tmp_path / "token")).key("one")
    assert "is no header" in caplog.text and "hunter2" not in caplog.text


async def test_a_code_becomes_a_token(make: Any, issuer: IssuerServer) -> None:
    provider = make(Client(CLIENT, SECRET))
    assert SECRET not in repr(provider.client)
    endpoints = await provider.endpoints()
    assert endpoints == Endpoints(f"{issuer.url}/auth", issuer.url + TOKEN, issuer.url + KEYS)
    asked = {"redirect_uri": "https://x/", "state": "s", "nonce": "n", "code_challenge_method": "S256"}
    asked["code_challenge"] = "JBbiqONGWPaAmwXk_8bT6UnlPfrn65D32eZlJS-zGG0"  # of test-verifier
    for verifier, back in (("other", "https://x/"), ("test-verifier", "https://y/")):
        with pytest.raises(IssuerSilent, match="answered 400"):
            await provider.exchange(code_for(issuer, asked), verifier, back)
    token = await provider.exchange(code_for(issuer, asked), "test-verifier", "https://x/")
    assert provider.issuer.url in str(said(token))


def code_for(issuer: IssuerServer, asked: dict[str, str]) -> str:
    return dict(parse_qsl(urlsplit(issuer.signed_in(urlencode(asked))).query))["code"]


async def test_a_token_place_that_says_nothing(
    make: Any, issuer: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "answer", lambda asked: issuer.discovery() if asked.form is None else b"{}")
    with pytest.raises(IssuerSilent, match="without id_token"):
        await make(Client(CLIENT)).exchange("c", "v", "https://x/")
    assert json.loads(issuer.discovery())["token_endpoint"]
