"""Whatever comes from outside is read, or is refused by the one error that is meant for it."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from registry.access import credentials, htpasswd, idtokens, keyset, scopes, userlines
from registry.access.claims import Template
from registry.access.credentials import Bearer, CredentialUnreadable, Password
from registry.access.idtokens import IdTokenRefused
from registry.access.issued import TokenInvalid
from registry.access.keyset import KeySetInvalid
from registry.access.principal import is_name, validated
from registry.access.signin import Attempt
from tests.registry.access.test_htpasswd import HASH, SECRET
from tests.registry.access.test_tokens import KEY, SERVICE, URL, Tokens, pem

TOKENS = Tokens(pem(KEY), URL, SERVICE, 300)
LINES = some.lists(
    some.text() | some.sampled_from([f"alice:{HASH}", f"alice:{SECRET}", "alice:x", "alice", "# x"])
).map("\n".join)


@given(some.binary() | some.binary().map(lambda rest: b"Basic " + rest))
def test_headers(header: bytes) -> None:
    with contextlib.suppress(CredentialUnreadable):
        assert isinstance(credentials.read(header), Password | Bearer | None)


@given(some.text() | some.from_regex(r"\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z"))
def test_tokens(token: str) -> None:
    for read in (TOKENS.read, TOKENS.read_refresh):
        try:
            read(token)
        except TokenInvalid:
            continue
        raise AssertionError("nobody can make one")


JSON = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=8,
)
CLAIMS = some.dictionaries(some.sampled_from(["a", "a.b", "b", "email", "iss", "kid", "alg", "exp"]), JSON)


@given(CLAIMS, CLAIMS, some.text(max_size=4))
def test_identity_tokens(header: dict[str, object], claims: dict[str, object], seal: str) -> None:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in (header, claims))
    token = ".".join((*(part.rstrip("=") for part in parts), seal))
    found = idtokens.said(token)
    assert found is None or found.issuer == claims["iss"]
    with pytest.raises(IdTokenRefused):
        idtokens.believed(token, None, issuer="x", audience="y", algorithms=("RS256",), now=0)


@given(some.text() | some.from_regex(r"\A([a-z:]*\{[a-z.]*\}[a-z:/ ]*){1,3}\Z"), CLAIMS)
def test_templates(text: str, claims: dict[str, object]) -> None:
    try:
        template = Template.parse(text)
    except ValueError:
        return
    assert str(template) == text
    for found in template.texts(claims):
        assert validated(f"group:{found}")


@given(some.binary() | some.builds(lambda keys: json.dumps({"keys": keys}).encode(), JSON))
def test_sets_of_keys(document: bytes) -> None:
    with pytest.raises(KeySetInvalid):
        keyset.parse(document)


@given(some.text() | some.from_regex(r"\A[A-Za-z0-9_-]{43}\.[a-z.-]*\Z"))
def test_what_a_browser_keeps(text: str) -> None:
    found = Attempt.read(text)
    assert found is None or found.kept == text


@given(some.lists(some.text() | some.from_regex(r"\Arepository:[a-z/]*:[a-z,*]*\Z")))
def test_scopes(texts: list[str]) -> None:
    found = scopes.parse(texts)
    assert scopes.parse(map(str, found)) == found


@given(LINES, some.booleans())
def test_users_files(text: str, newest_stays: bool) -> None:
    before = htpasswd.parse(text)
    added = htpasswd.parse(userlines.with_password(text, "bob", HASH))
    assert added.hashes["bob"] == HASH.encode()
    assert {name: kept for name, kept in added.hashes.items() if name != "bob"} == {
        name: kept for name, kept in before.hashes.items() if name != "bob"
    }
    removed = htpasswd.parse(userlines.without(text, "alice", robot=True, newest_stays=newest_stays))
    assert removed.hashes == before.hashes
    assert sum(len(robot.hashes) for robot in removed.robots if robot.name == "alice") <= newest_stays


@given(some.text())
def test_names(text: str) -> None:
    assert not is_name(text) or not set(text) & set(":/ \n\0\"'*$")
    with contextlib.suppress(ValueError):
        assert validated(text) == text
