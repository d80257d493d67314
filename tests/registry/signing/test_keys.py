from __future__ import annotations

import base64
import copy
import hashlib
import pickle

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from registry.signing.keys import KeyInvalid, load, load_public, new_key

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PLAIN = serialization.NoEncryption()
LOCKED = serialization.BestAvailableEncryption(b"secret")
KEY = ec.generate_private_key(ec.SECP256R1())


def test_a_new_key_loads_again() -> None:
    key = new_key()
    again = load(key.private_pem)
    assert again.public_pem == key.public_pem
    assert again.key_id == key.key_id
    assert key.private_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert new_key().key_id != key.key_id


@pytest.mark.parametrize("form", [PKCS8, SEC1], ids=["PKCS#8", "SEC1"])
def test_both_forms_load(form: serialization.PrivateFormat) -> None:
    key = load(KEY.private_bytes(PEM, form, PLAIN))
    der = KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert key.key_id == hashlib.sha256(der).hexdigest()


def test_signatures_hold_and_are_the_same_each_time() -> None:
    key = new_key()
    signature = key.sign(b"text")
    assert signature == load(key.private_pem).sign(b"text")
    load_public(key.public_pem).verify(signature, b"text")
    assert base64.b64decode(key.public.hint).hex() == key.key_id


@pytest.mark.parametrize("form", [PKCS8, SEC1], ids=["PKCS#8", "SEC1"])
def test_encrypted_keys_load_with_their_passphrase(form: serialization.PrivateFormat) -> None:
    pem = KEY.private_bytes(PEM, form, LOCKED)
    assert load(pem, "secret").public_pem == load(KEY.private_bytes(PEM, PKCS8, PLAIN)).public_pem
    for wrong in ("", "wrong"):
        with pytest.raises(KeyInvalid, match="passphrase does not open") as refused:
            load(pem, wrong)
        assert refused.value.__context__ is None
    assert load(KEY.private_bytes(PEM, form, PLAIN), "of another key")


OTHERS = [
    pytest.param(b"", "empty", id="empty"),
    pytest.param(b"\n  \n", "empty", id="blank"),
    pytest.param(b"hunter2-not-a-key", "not in PEM", id="garbage"),
    pytest.param(KEY.private_bytes(serialization.Encoding.DER, PKCS8, PLAIN), "not in PEM", id="DER"),
    pytest.param(
        b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "damaged", id="damaged"
    ),
    pytest.param(KEY.private_bytes(PEM, PKCS8, PLAIN)[:-60], "damaged", id="cut"),
    pytest.param(KEY.private_bytes(PEM, PKCS8, LOCKED), "encrypted", id="encrypted PKCS#8"),
    pytest.param(KEY.private_bytes(PEM, SEC1, LOCKED), "encrypted", id="encrypted SEC1"),
    pytest.param(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nabc", "encrypted", id="cosign.key"),
    pytest.param(
        KEY.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "public key",
        id="public",
    ),
    pytest.param(b"-----BEGIN CERTIFICATE-----\nabc", "certificate", id="certificate"),
    pytest.param(
        ec.generate_private_key(ec.SECP384R1()).private_bytes(PEM, PKCS8, PLAIN), "secp384r1", id="P-384"
    ),
    pytest.param(
        ec.generate_private_key(ec.SECP256K1()).private_bytes(PEM, PKCS8, PLAIN), "secp256k1", id="K-256"
    ),
    pytest.param(
        ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, PLAIN), "elliptic-curve", id="Ed25519"
    ),
    pytest.param(
        rsa.generate_private_key(65537, 2048).private_bytes(PEM, PKCS8, PLAIN), "elliptic-curve", id="RSA"
    ),
    pytest.param(b"-----BEGIN PRIVATE KEY-----" + b"A" * 100_000, "too large", id="huge"),
]


@pytest.mark.parametrize(("pem", "says"), OTHERS)
def test_other_keys_are_refused_with_the_fix(pem: bytes, says: str) -> None:
    with pytest.raises(KeyInvalid, match=says) as caught:
        load(pem)
    assert "sidecargo keys new FILE" in caught.value.fix
    assert caught.value.__context__ is None
    assert "hunter2" not in f"{caught.value!r} {caught.value}"


_P_384 = (
    ec.generate_private_key(ec.SECP384R1())
    .public_key()
    .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)


@pytest.mark.parametrize(
    "pem",
    [b"", b"garbage", new_key().private_pem, _P_384],
    ids=["empty", "garbage", "private", "P-384"],
)
def test_other_public_keys_are_refused(pem: bytes) -> None:
    with pytest.raises(KeyInvalid, match="public key"):
        load_public(pem)


def test_the_private_part_shows_nowhere() -> None:
    key = new_key()
    secret = key.private_pem.splitlines()[1].decode()
    number = KEY.private_numbers().private_value
    shown = f"{key!r} {key!s} {[key]} {load(KEY.private_bytes(PEM, PKCS8, PLAIN))!r}"
    assert key.key_id in shown
    assert secret not in shown
    assert str(number) not in shown
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not to be pickled"):
            take(key)
