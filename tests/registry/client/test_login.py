from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from registry.client.credentials import Credential
from registry.client.login import Login
from registry.client.remote import Remote
from registry.client.transport import RemoteError, Transport
from tests.registry.client.scripted import Said, Scripted, scripted
from tests.registry.client.test_remote import BLOB, CONTENT, _push
from tests.registry.client.tokens import ISSUER, SERVICE, Tokens
from tests.registry.commands import serving

ALICE = Credential("alice", "s3cret")
SCOPE = "repository:a:pull"


@pytest.fixture(name="service", scope="module")
def _service() -> Iterator[tuple[Scripted, Tokens]]:
    tokens = Tokens(frozenset([ALICE.basic, "refresh"]))
    with scripted(tokens) as service:
        yield service, tokens


@pytest.fixture(name="token_registry", scope="module")
def _token_registry(
    service: tuple[Scripted, Tokens], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real registry that takes that service's tokens only."""
    folder: Path = tmp_path_factory.mktemp("tokens")
    (folder / "jwks.json").write_text(service[1].jwks())
    token = {
        "realm": f"http://{service[0].host}/token",
        "service": SERVICE,
        "issuer": ISSUER,
        "jwks": str(folder / "jwks.json"),
    }
    with serving(folder, {"token": token}) as host:
        yield host


@pytest.mark.parametrize(
    "credential", [ALICE, Credential(identity_token="refresh")], ids=["password", "identity"]
)
def test_a_token_is_fetched_once_a_scope_and_taken(
    credential: Credential, token_registry: str, service: tuple[Scripted, Tokens]
) -> None:
    asked = service[0].asked
    asked.clear()
    with Remote(token_registry, find=lambda host: credential) as remote:
        digest = _push(remote, "a")
        assert remote.manifest("a", "v1").digest == digest
        assert b"".join(remote.blob("a", BLOB)) == CONTENT
    queries = [parse_qs(urlsplit(one.path).query) | parse_qs(one.body.decode()) for one in asked]
    assert [(query["scope"], query["service"]) for query in queries] == [
        (["repository:a:pull,push"], [SERVICE]),
        (["repository:a:pull"], [SERVICE]),
    ]
    passwords = {one.authorization for one in asked}
    assert passwords == ({ALICE.basic} if credential is ALICE else {None})


@pytest.mark.parametrize(
    "credential", [ALICE, Credential(identity_token="refresh")], ids=["password", "identity"]
)
def test_a_mount_asks_for_both_repositories(
    credential: Credential, token_registry: str, service: tuple[Scripted, Tokens]
) -> None:
    with Remote(token_registry, find=lambda host: credential) as remote:
        _push(remote, "from")
        service[0].asked.clear()
        assert remote.mount_blob("to", BLOB.digest, "from")
    (one,) = service[0].asked
    scopes = (parse_qs(urlsplit(one.path).query) | parse_qs(one.body.decode()))["scope"]
    assert " ".join(scopes) == "repository:to:pull,push repository:from:pull"
    assert len(scopes) == (2 if credential is ALICE else 1)


def test_a_token_that_is_not_given_is_said(token_registry: str) -> None:
    with (
        Remote(token_registry, find=lambda host: Credential("alice", "wrong")) as remote,
        pytest.raises(
            RemoteError,
            match=rf"{token_registry} gives no token for {SCOPE}: 401 UNAUTHORIZED: who are you\?",
        ),
    ):
        remote.manifest("a", "v1")


def test_a_registry_token_is_sent_as_it_is() -> None:
    login = Login("r.example", Transport(), lambda: Credential(registry_token="t"))
    assert login.header(SCOPE) == ""
    assert login.answer(['Bearer realm="https://r.example/token"'], SCOPE, "https://r.example")
    assert login.header(SCOPE) == "Bearer t"
    assert not login.answer(['Bearer realm="https://r.example/token"'], SCOPE, "https://r.example"), "no news"


@pytest.mark.parametrize("realm", ["http://evil.example/", "ftp://r.example/", "file:///etc/passwd", "x", ""])
def test_a_password_never_goes_to_an_unsafe_realm(realm: str) -> None:
    login = Login("r.example", Transport(), lambda: ALICE)
    with pytest.raises(RemoteError, match="no safe place for a credential"):
        login.answer([f'Bearer realm="{realm}"'], SCOPE, "https://r.example")


@pytest.mark.parametrize("headers", [[], ["Negotiate"], ['Digest realm="x"']])
def test_a_challenge_that_nobody_can_answer(headers: list[str]) -> None:
    assert not Login("r.example", Transport(), lambda: ALICE).answer(headers, SCOPE, "https://r.example")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token":5}', json.dumps({"token": "a\nX-Evil: 1"}).encode()]
)
def test_an_answer_without_a_token_is_said(body: bytes) -> None:
    with scripted(lambda asked: Said(body=body)) as service:
        login = Login("r.example", Transport(), lambda: None)
        with pytest.raises(RemoteError, match="answered without a token"):
            login.answer([f'Bearer realm="http://{service.host}/token"'], SCOPE, "http://r.example")
