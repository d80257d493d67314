from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from registry.access.signin import Attempt

BACK = "https://plugins.example.com/login/callback"


def asked(attempt: Attempt, endpoint: str = "https://sso.example/auth") -> dict[str, list[str]]:
    return parse_qs(urlsplit(attempt.url(endpoint, "me", ("openid", "groups"), BACK)).query)


def test_what_goes_along() -> None:
    attempt = Attempt.begin("sso.example")
    said = asked(attempt)
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    assert said.pop("code_challenge") == [base64.urlsafe_b64encode(digest).decode().rstrip("=")]
    assert said.pop("nonce") == [attempt.nonce]
    (state,) = said.pop("state")
    assert attempt.is_of(state)
    assert said == {
        "response_type": ["code"],
        "client_id": ["me"],
        "redirect_uri": [BACK],
        "scope": ["openid groups"],
        "code_challenge_method": ["S256"],
    }
    assert asked(attempt, "https://sso.example/auth?tenant=a")["tenant"] == ["a"]
    assert 43 <= len(attempt.verifier) <= 128, "RFC 7636, 4.1"


def test_nothing_that_goes_along_tells_the_seed_or_another_part_of_it() -> None:
    attempt = Attempt.begin("sso")
    (state,) = asked(attempt)["state"]
    assert len({attempt.seed, state, attempt.nonce, attempt.verifier}) == 4
    assert attempt.seed not in repr(attempt) and attempt.seed not in str(asked(attempt))
    assert attempt.verifier not in str(asked(attempt))


def test_what_a_browser_keeps_is_all_of_it() -> None:
    attempt = Attempt.begin("sso.example")
    assert Attempt.read(attempt.kept) == attempt
    assert Attempt.begin("sso.example") != attempt
    other = Attempt("github", attempt.seed)
    (state,) = asked(other)["state"]
    assert not attempt.is_of(state), "what was begun with one issuer does not end with another"
    for wrong in ("", "x", "é", "\ud800"):
        assert not attempt.is_of(wrong)


@pytest.mark.parametrize(
    "kept", ["", ".", "x.sso", "a" * 43, "a" * 43 + ".", "a" * 43 + ".A b", "a" * 44 + ".a"]
)
def test_what_no_browser_has_kept(kept: str) -> None:
    assert Attempt.read(kept) is None
