from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from registry.access.claims import Naming, Requirement, Template
from registry.access.identities import Identity
from registry.access.idtokens import SKEW, IdTokenRefused
from registry.access.issuers import Issuer, within
from tests.registry.access.test_idtokens import AUDIENCE, KEYS, NOW, OTHER, URL, token

NAMING = Naming(Template.parse("{sub}"), (Template.parse("repo:{repository}"), Template.parse("g:{groups}")))
ISSUER = Issuer("github", URL, AUDIENCE, NAMING, ("RS256",), (Requirement("repository_owner", ("octo",)),))
OCTO = {"repository_owner": "octo"}


def told(text: str, issuer: Issuer = ISSUER, **more: Any) -> Identity:
    return issuer.identity(text, KEYS["one"], NOW, **more)


def test_who_a_token_is_of() -> None:
    found = told(token(repository="octo/app", groups=["a", "b c"], **OCTO))
    assert found == Identity(
        "oidc:github/x", ISSUER.proof, frozenset({"repo:octo/app", "g:a", "g:b%20c"}), NOW + 300 + SKEW
    )
    assert within(found, frozenset({"g:a", "g:z"})) == replace(found, groups=frozenset({"g:a"}))


def test_whoever_another_issuer_knows_is_somebody_else() -> None:
    other = replace(ISSUER, name="gitlab")
    assert told(token(**OCTO), other).name != told(token(**OCTO)).name
    assert told(token(sub="user:alice", **OCTO)).name == "oidc:github/user:alice"


NONCE = {"audience": "page", "nonce": "n"}
REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "what must be is not there": ("required", {}, {}),
    "what must be is something else": ("required", {"repository_owner": "octopus"}, {}),
    "no name": ("name", {"sub": "", **OCTO}, {}),
    "several names": ("name", {"sub": ["a", "b"], **OCTO}, {}),
    "a name that is too long": ("name", {"sub": "a" * 257, **OCTO}, {}),
    "too many groups": ("groups", {"groups": [str(at) for at in range(1001)], **OCTO}, {}),
    "a token for others where a login is": ("audience", OCTO, NONCE),
    "a token of another login": ("nonce", {"aud": "page", "nonce": "m", **OCTO}, NONCE),
    "a token of no login": ("nonce", {"aud": "page", **OCTO}, NONCE),
    "a token of a login where none is": ("audience", {"aud": "page", "nonce": "n", **OCTO}, {}),
}


@pytest.mark.parametrize(("problem", "claims", "asked"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(problem: str, claims: dict[str, Any], asked: dict[str, Any]) -> None:
    with pytest.raises(IdTokenRefused) as refusal:
        told(token(**claims), **asked)
    assert refusal.value.problem == problem


def test_a_token_of_a_login() -> None:
    assert told(token(aud="page", nonce="n", **OCTO), **NONCE).name == "oidc:github/x"


def test_an_issuer_whose_tokens_are_taken_from_nobody() -> None:
    page = replace(ISSUER, audience="")
    for aud in (AUDIENCE, "", None):
        with pytest.raises(IdTokenRefused, match="are not taken here"):
            told(token(aud=aud, **OCTO), page)
    assert told(token(aud="page", nonce="n", **OCTO), page, **NONCE).name == "oidc:github/x"


def test_nothing_is_believed_of_a_token_that_is_not_signed_by_the_issuer() -> None:
    with pytest.raises(IdTokenRefused, match="signature"):
        told(token(OTHER, **OCTO))
