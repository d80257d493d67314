"""Whatever comes from outside is read, or is refused by the one error that is meant for it."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as some

from registry.access import credentials, htpasswd, scopes, userlines
from registry.access.credentials import Bearer, CredentialUnreadable, Password
from registry.access.principal import is_name, validated
from registry.access.tokens import TokenInvalid
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
