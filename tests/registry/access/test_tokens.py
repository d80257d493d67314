from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from registry.access.identities import Identity
from registry.access.issued import Claims, TokenInvalid, is_personal
from registry.access.rights import Right
from registry.access.scopes import Scope, parse
from registry.access.tokens import LONGEST, REFRESH_SECONDS, SKEW, TokenKeyInvalid, Tokens

URL, SERVICE = "https://plugins.example.com", "plugins.example.com"
ALICE = Identity("user:alice", "a" * 24)
SCOPES = parse(["repository:a/b:pull,push registry:catalog:*"])


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(pem(KEY), URL, SERVICE, 300, clock)


def forged(key: Any, algorithm: str, headers: dict[str, Any] | None = None, **more: Any) -> str:
    now = int(Clock.now)
    claims = {"iss": URL, "aud": SERVICE, "iat": now, "exp": now + 300, "access": [], **more}
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers)


def test_what_is_written_is_read(tokens: Tokens, clock: Clock) -> None:
    issued = tokens.access(ALICE, SCOPES)
    assert (issued.since, issued.seconds) == (clock.now, 300)
    assert tokens.read(issued.token) == Claims(ALICE, SCOPES, clock.now + 300)
    assert tokens.read(tokens.access(None, []).token) == Claims(None, frozenset(), clock.now + 300)
    assert tokens.access(ALICE, SCOPES).token != issued.token
    assert issued.token not in repr(issued)


def test_as_others_read_it(tokens: Tokens) -> None:
    token = tokens.access(ALICE, [Scope("a/b", frozenset((Right.PUSH, Right.PULL)))]).token
    timeless = {"verify_exp": False, "verify_iat": False}
    said = jwt.decode(token, KEY.public_key(), ["ES256"], timeless, audience=SERVICE)  # type: ignore[arg-type]
    assert said["access"] == [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]
    assert (said["iss"], said["sub"]) == (URL, "user:alice")


def test_a_token_ends(tokens: Tokens, clock: Clock) -> None:
    token = tokens.access(ALICE, SCOPES).token
    clock.now += 300 + SKEW - 1
    tokens.read(token)
    clock.now += 1
    with pytest.raises(TokenInvalid):
        tokens.read(token)
    tokens.read(token, late=60)
    clock.now += 60
    with pytest.raises(TokenInvalid):
        tokens.read(token, late=60)
    clock.now -= 1000
    with pytest.raises(TokenInvalid):
        tokens.read(token)


def test_neither_kind_is_taken_for_the_other(tokens: Tokens, clock: Clock) -> None:
    refresh, access = tokens.refresh(ALICE), tokens.access(ALICE, SCOPES).token
    assert tokens.read_refresh(refresh) == ALICE
    for read, token in ((tokens.read, refresh), (tokens.read_refresh, access)):
        with pytest.raises(TokenInvalid):
            read(token)
    clock.now += REFRESH_SECONDS + SKEW
    with pytest.raises(TokenInvalid):
        tokens.read_refresh(refresh)


def test_who_is_known_elsewhere_has_his_groups_and_his_end(tokens: Tokens, clock: Clock) -> None:
    alice = Identity("oidc:x/alice", "p", frozenset({"b", "a"}), clock.now + 60)
    issued = tokens.access(alice, SCOPES)
    assert issued.seconds == 60
    assert tokens.read(issued.token) == Claims(replace(alice, ends=math.inf), SCOPES, clock.now + 60)
    assert tokens.access(replace(alice, ends=clock.now - 1), SCOPES).seconds == 0
    for wrong in ({"groups": "a"}, {"groups": [1]}, {"groups": {"a": 1}}, {"by": 1}, {"sub": 1}):
        with pytest.raises(TokenInvalid):
            tokens.read(forged(KEY, "ES256", **{"sub": "oidc:x/alice", "proof": "p", **wrong}))


def test_personal_tokens(tokens: Tokens, clock: Clock) -> None:
    alice = Identity("oidc:x/alice", "p", frozenset({"a"}), clock.now + 60)
    personal = tokens.personal(alice, 1000)
    assert (personal.holder, personal.ends, is_personal(personal.token)) == (
        alice.name,
        clock.now + 1000,
        True,
    )
    read = replace(alice, ends=clock.now + 1000, by=personal.id)
    assert tokens.read_personal(personal.token) == read
    short = tokens.read(tokens.access(read, []).token).identity
    assert short == replace(read, ends=math.inf), "it says by what it was got"
    assert tokens.personal(alice, 1000).id != personal.id
    bare, access = personal.token.removeprefix("scp_"), tokens.access(alice, []).token
    for wrong in (bare, f"scp_{access}", f"scp_{tokens.refresh(alice)}", "scp_", f"scp_{personal.token}"):
        with pytest.raises(TokenInvalid):
            tokens.read_personal(wrong)
    for reading in (tokens.read, tokens.read_refresh):
        with pytest.raises(TokenInvalid):
            reading(bare)
    clock.now += 1000 + SKEW
    with pytest.raises(TokenInvalid):
        tokens.read_personal(personal.token)


JWK = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(OTHER.public_key()))
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())


def hs256() -> str:
    """Signed as if the public key, which all may have, were a shared secret."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    head, claims, _ = forged(KEY, "ES256").split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    sealed = hmac.digest(PUBLIC, f"{head}.{claims}".encode(), hashlib.sha256)
    return f"{head}.{claims}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


FORGED = {
    "another key": lambda: forged(OTHER, "ES256"),
    "another key, and its id": lambda: forged(OTHER, "ES256", {"kid": "../../dev/null"}),
    "a key of its own": lambda: forged(OTHER, "ES256", {"jwk": JWK}),
    "a key to be fetched": lambda: forged(OTHER, "ES256", {"jku": "http://127.0.0.1:1/"}),
    "a certificate": lambda: forged(OTHER, "ES256", {"x5c": ["AAAA"]}),
    "no signature": lambda: forged(None, "none"),
    "the public key as a secret": hs256,
    "RSA": lambda: forged(RSA, "RS256"),
    "another curve": lambda: forged(P384, "ES384"),
    "another issuer": lambda: forged(KEY, "ES256", iss="https://evil.example"),
    "another service": lambda: forged(KEY, "ES256", aud="evil.example"),
    "no audience": lambda: forged(KEY, "ES256", aud=None),
    "no end": lambda: forged(KEY, "ES256", exp=None),
    "an end that is no number": lambda: forged(KEY, "ES256", exp="soon"),
    "from the future": lambda: forged(KEY, "ES256", iat=int(Clock.now) + 3600, exp=int(Clock.now) + 7200),
    "no access": lambda: forged(KEY, "ES256", access=None),
    "access that is no list": lambda: forged(KEY, "ES256", access="repository:a:pull"),
    "access of another form": lambda: forged(KEY, "ES256", access=[{"type": "repository"}]),
    "a subject without a proof": lambda: forged(KEY, "ES256", sub="user:alice"),
    "no token": lambda: "x",
    "nothing": lambda: "",
    "three dots": lambda: "...",
    "deep": lambda: base64.urlsafe_b64encode(b"[" * 6000).decode() + ".x.x",
    "long": lambda: forged(KEY, "ES256", more="a" * LONGEST),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_not_ours(tokens: Tokens, forge: Any) -> None:
    assert tokens.read(forged(KEY, "ES256")).scopes == frozenset(), "the form itself is right"
    for read in (tokens.read, tokens.read_refresh):
        with pytest.raises(TokenInvalid):
            read(forge())


def test_a_token_that_was_changed(tokens: Tokens) -> None:
    head, claims, seal = tokens.access(ALICE, SCOPES).token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said["access"][0]["actions"] = ["pull", "push", "delete"]
    other = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    for changed in (f"{head}.{other}.{seal}", f"{head}.{claims}.{seal[:-4]}AAAA", f"{head}.{claims}."):
        with pytest.raises(TokenInvalid):
            tokens.read(changed)


def test_replicas_with_one_key_take_each_other_s(tokens: Tokens, clock: Clock) -> None:
    token = tokens.access(ALICE, SCOPES).token
    assert Tokens(pem(KEY), URL, SERVICE, 60, clock).read(token).identity == ALICE
    for other in (Tokens(pem(OTHER), URL, SERVICE, 60, clock), Tokens(pem(KEY), URL, "other", 60, clock)):
        with pytest.raises(TokenInvalid):
            other.read(token)
    assert tokens.read(tokens.access(replace(ALICE, name="robot:x"), []).token).identity != ALICE


@pytest.mark.parametrize("key", [b"", b"x", PUBLIC, pem(RSA), pem(P384), b"-----BEGIN PRIVATE KEY-----"])
def test_keys_that_are_none(key: bytes) -> None:
    with pytest.raises(TokenKeyInvalid, match="sidecargo keys new"):
        Tokens(key, URL, SERVICE, 300)
