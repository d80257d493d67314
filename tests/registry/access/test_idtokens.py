"""Identity tokens, and everything that only looks like one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from registry.access.idtokens import LONGEST, SKEW, IdTokenRefused, Said, believed, said
from registry.access.keyset import Key, parse

URL, AUDIENCE, NOW = "https://issuer.example", "sidecargo", 1_800_000_000.0
OURS = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
JWKS = {
    "keys": [
        {**json.loads(RSAAlgorithm.to_jwk(OURS.public_key())), "key_ops": ["verify"], "kid": "one"},
        {**json.loads(ECAlgorithm.to_jwk(CURVE.public_key())), "kid": "two"},
    ]
}
KEYS = parse(json.dumps(JWKS).encode())
PUBLIC = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NOTHING: Any = object()


def token(key: Any = OURS, algorithm: str = "RS256", headers: Any = None, **more: Any) -> str:
    """A token that is right but for what is said; NOTHING leaves a claim out."""
    claims = {"iss": URL, "aud": AUDIENCE, "sub": "x", "iat": NOW, "nbf": NOW, "exp": NOW + 300, **more}
    kept = {name: value for name, value in claims.items() if value is not NOTHING}
    return raw(kept, key, algorithm, {"kid": "one", **(headers or {})})


def raw(claims: Any, key: Any = OURS, algorithm: str = "RS256", headers: Any = None) -> str:
    said = {name: value for name, value in (headers or {}).items() if value is not NOTHING}
    return jwt.api_jws.encode(json.dumps(claims).encode(), key, algorithm, said)


def read(text: str, now: float = NOW, algorithms: tuple[str, ...] = ("RS256", "ES256")) -> Any:
    told = said(text)
    key = KEYS.get(told.key_id) if told else None
    return believed(text, key, issuer=URL, audience=AUDIENCE, algorithms=algorithms, now=now)


def sealed(secret: bytes) -> str:
    """Signed as if what all may have were a shared secret."""
    _, claims, _ = token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"one"}').rstrip(b"=").decode()
    seal = hmac.digest(secret, f"{head}.{claims}".encode(), hashlib.sha256)
    return f"{head}.{claims}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


def nested(inner: bytes) -> str:
    return f"{token().split('.')[0]}.{base64.urlsafe_b64encode(inner).rstrip(b'=').decode()}.AAAA"


def changed() -> str:
    head, _, seal = token().split(".")
    return f"{head}.{token(sub='y').split('.')[1]}.{seal}"


GOOD: dict[str, Callable[[], str]] = {
    "as it is": token,
    "another of its keys": lambda: token(CURVE, "ES256", {"kid": "two"}),
    "a list of audiences": lambda: token(aud=["a", AUDIENCE]),
    "without what is optional": lambda: token(iat=NOTHING, nbf=NOTHING),
    "no kind": lambda: token(headers={"typ": None}),
    "an access token": lambda: token(headers={"typ": "at+JWT"}),
    "its whole media type": lambda: token(headers={"typ": "application/at+jwt"}),
    "a key to be fetched beside the right one": lambda: token(headers={"jku": "http://127.0.0.1:1/"}),
    "fractions": lambda: token(exp=NOW + 0.5),
}
REFUSED: dict[str, tuple[str, Callable[[], str]]] = {
    "no signature": ("form", lambda: token(None, "none")),
    "no signature, and something there": ("algorithm", lambda: token(None, "none") + "AAAA"),
    "the public key as a secret": ("algorithm", lambda: sealed(PUBLIC)),
    "a set of keys as a secret": ("algorithm", lambda: sealed(json.dumps(JWKS).encode())),
    "an algorithm that is not pinned": ("algorithm", lambda: token(algorithm="RS512")),
    "an algorithm of another key": ("key", lambda: token(CURVE, "ES256")),
    "a key that its issuer does not have": ("key", lambda: token(OTHER, headers={"kid": "three"})),
    "no key's id": ("key", lambda: token(headers={"kid": NOTHING})),
    "an empty id": ("key", lambda: token(headers={"kid": ""})),
    "a path for an id": ("key", lambda: token(OTHER, headers={"kid": "../../dev/null"})),
    "another key under its id": ("signature", lambda: token(OTHER)),
    "a key of its own": (
        "signature",
        lambda: token(OTHER, headers={"jwk": json.loads(RSAAlgorithm.to_jwk(OTHER.public_key()))}),
    ),
    "a key to be fetched": ("signature", lambda: token(OTHER, headers={"jku": "http://127.0.0.1:1/"})),
    "certificates": ("signature", lambda: token(OTHER, headers={"x5c": ["AAAA"], "x5u": "http://[::1]/"})),
    "changed": ("signature", changed),
    "another issuer": ("issuer", lambda: token(iss="https://evil.example")),
    "another issuer, and the id of our key": ("issuer", lambda: token(OTHER, iss="https://evil.example")),
    "the issuer with a slash": ("issuer", lambda: token(iss=f"{URL}/")),
    "the issuer in capitals": ("issuer", lambda: token(iss=URL.upper())),
    "no issuer": ("form", lambda: token(iss=NOTHING)),
    "two issuers": ("form", lambda: token(iss=[URL])),
    "another audience": ("audience", lambda: token(aud="other")),
    "part of an audience": ("audience", lambda: token(aud=f"{AUDIENCE}2")),
    "other audiences": ("audience", lambda: token(aud=["a", "b"])),
    "no audience": ("audience", lambda: token(aud=NOTHING)),
    "no list of audiences": ("audience", lambda: token(aud=[])),
    "an audience in a mapping": ("audience", lambda: token(aud={AUDIENCE: 1})),
    "over": ("expired", lambda: token(exp=NOW - SKEW)),
    "of a time to come": ("early", lambda: token(nbf=NOW + SKEW + 1)),
    "made in a time to come": ("early", lambda: token(iat=NOW + SKEW + 1)),
    "no end": ("form", lambda: token(exp=NOTHING)),
    "an end that is null": ("form", lambda: token(exp=None)),
    "an end that is text": ("form", lambda: token(exp=str(int(NOW + 300)))),
    "an end that is true": ("form", lambda: token(exp=True)),
    "an end without end": ("form", lambda: token(exp=float("inf"))),
    "an end that is no number": ("form", lambda: token(exp=float("nan"))),
    "an end beyond numbers": ("form", lambda: token(exp=10**400)),
    "a beginning that is text": ("form", lambda: token(nbf="now")),
    "something critical": ("form", lambda: token(headers={"crit": ["x"], "x": 1})),
    "a logout token": ("form", lambda: token(headers={"typ": "logout+jwt"})),
    "a token of ours": ("form", lambda: token(headers={"typ": "sidecargo-personal+jwt"})),
    "no text": ("form", lambda: ""),
    "two parts": ("form", lambda: "a.b"),
    "dots": ("form", lambda: ".."),
    "encrypted": ("form", lambda: "a.b.c.d.e"),
    "no base64": ("form", lambda: "!.!.!"),
    "beyond ASCII": ("form", lambda: "é.é.é"),
    "claims in a list": ("form", lambda: raw([1])),
    "claims that are deep": ("form", lambda: nested(b'{"iss":' + b"[" * 4000)),
    "claims with a number beyond numbers": ("form", lambda: nested(b'{"iss": 1' + b"0" * 5000 + b"}")),
    "claims that are not UTF-8": ("form", lambda: nested(b'{"iss": "\xff"}')),
    "huge": ("form", lambda: token(more="a" * LONGEST)),
}  # fmt: skip


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_what_is_believed(make: Callable[[], str]) -> None:
    assert read(make())["sub"] == "x"


@pytest.mark.parametrize(("problem", "make"), REFUSED.values(), ids=REFUSED)
def test_what_is_not(problem: str, make: Callable[[], str]) -> None:
    with pytest.raises(IdTokenRefused) as refusal:
        read(make())
    assert refusal.value.problem == problem
    assert refusal.value.message.startswith("the identity token")


def test_clocks_differ_a_little() -> None:
    read(token(), now=NOW + 300 + SKEW - 1)
    read(token(), now=NOW - SKEW)
    for now in (NOW + 300 + SKEW, NOW - SKEW - 1):
        with pytest.raises(IdTokenRefused):
            read(token(), now=now)


def test_an_algorithm_that_is_pinned_by_the_key_itself() -> None:
    key = Key(OURS.public_key(), frozenset(("PS256",)))
    common: Any = {"issuer": URL, "audience": AUDIENCE, "algorithms": ("RS256", "PS256"), "now": NOW}
    assert believed(token(algorithm="PS256"), key, **common)["sub"] == "x"
    with pytest.raises(IdTokenRefused, match="a key that its issuer does not have"):
        believed(token(), key, **common)


def test_what_a_text_says_of_itself() -> None:
    assert said(token()) == Said(URL, "one", "RS256", "jwt", False)
    assert said("open sesame") is said("a.b.c") is said("scr_" + "a" * 43) is None
