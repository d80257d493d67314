from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from registry.access.keyset import ALGORITHMS, MOST, KeySetInvalid, parse

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def rsa_key(**more: Any) -> dict[str, Any]:
    return {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "key_ops": ["verify"], "kid": "r", **more}


def ec_key(**more: Any) -> dict[str, Any]:
    return {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "e", **more}


def keys(*entries: Any) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


def test_what_keys_are_for() -> None:
    ed = {**json.loads(OKPAlgorithm.to_jwk(ED.public_key())), "kid": "o"}
    found = parse(keys(rsa_key(), ec_key(use="sig"), ed, rsa_key(kid="pinned", alg="PS256")))
    assert {kid: set(key.algorithms) for kid, key in found.items()} == {
        "r": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
        "e": {"ES256"},
        "o": {"EdDSA"},
        "pinned": {"PS256"},
    }
    assert set().union(*(key.algorithms for key in found.values())) <= set(ALGORITHMS)
    assert "public" not in repr(found["r"])


def test_of_a_private_key_that_was_published_the_public_part_counts() -> None:
    private = {**json.loads(RSAAlgorithm.to_jwk(RSA)), "key_ops": ["verify"], "kid": "r"}
    assert parse(keys(private))["r"].public.public_numbers() == RSA.public_key().public_numbers()


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    assert parse(keys(ec_key(kid="same"), rsa_key(kid="same")))["same"].algorithms == {"ES256"}


WEAK = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key()))
UNUSED = {
    "no id": {name: value for name, value in ec_key().items() if name != "kid"},
    "an id that is no text": ec_key(kid=7),
    "to encrypt": ec_key(use="enc"),
    "to sign, which nobody can with it": ec_key(key_ops=["sign"]),
    "an algorithm of another kind": ec_key(alg="RS256"),
    "a shared secret": {"kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256"},
    "a shared secret as a key": rsa_key(alg="HS256"),
    "too short": {**WEAK, "key_ops": ["verify"], "kid": "w"},
    "another curve": ec_key(crv="secp256k1"),
    "a point that is not on its curve": ec_key(x=ec_key()["y"]),
    "no base64": rsa_key(n="!"),
    "no parts": {"kty": "RSA", "kid": "n"},
    "no kind": {"kid": "n"},
    "an algorithm that is no text": ec_key(alg="none"),
}


@pytest.mark.parametrize("entry", UNUSED.values(), ids=UNUSED)
def test_what_is_left_out(entry: dict[str, Any]) -> None:
    assert set(parse(keys(entry, rsa_key(kid="good")))) == {"good"}
    with pytest.raises(KeySetInvalid, match="has no key"):
        parse(keys(entry))


NO_SETS = [b"", b"{}", b"[]", b"x", b"null", b"\xff", b"[" * 100_000, b'{"keys": 1}', b'{"keys": {}}']
NO_KEYS = ["x", None, {"kid": "a", "alg": []}, {"kid": "a", "key_ops": 1}, {"kid": "a", "kty": {}}]


@pytest.mark.parametrize("document", [*NO_SETS, *map(keys, NO_KEYS)])
def test_what_is_no_set_of_keys(document: bytes) -> None:
    with pytest.raises(KeySetInvalid):
        parse(document)


def test_no_more_keys_than_anybody_has() -> None:
    assert len(parse(keys(*(ec_key(kid=str(at)) for at in range(MOST + 5))))) == MOST
