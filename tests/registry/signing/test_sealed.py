"""Keys in cosign's own form; those here were made by `cosign generate-key-pair`, for nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from registry.signing.keys import KeyInvalid, load, new_key
from registry.signing.sealed import WrongPassphrase, is_sealed, opened

# cosign 2.6.5; the passphrase is "correct horse".
SEALED = b"""\
-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJsQnAwbWJkNng3WUhGMTZ1SXU5Nm8vaXp6Z2MrZzZ4
SjVQMjU0VDNGUnZvPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJxSm9ZTCtVSEJYWGNjK2FXYlhtL012U29mVGtLVjBhQyJ9LCJj
aXBoZXJ0ZXh0IjoiOVRKWGRCVE9laVhzNTFhLzNZMGpuRktNUGF3dGNzN3lIUFVw
VmVXOTdZQm1qT1d2ajhGWVZURGpJb1BVbXRDd0JwQTFYVEs0ZkdqWHJxWi9XZFFu
b0JtVytlUkFPQmd1QmN2MWJ2bjhab3VpVk0vclNoay9BZHZxSldmcDN6ZDV2dm1U
WnFsVytKa0UvbCtEMGloYWdyUWd0eHFrc0FrZ3VuVmFBSFM0anBwc3VRVmZweXQ3
REJGZzZjS3I1MGFEb1loNjBkZTNVNXY5eGc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
"""
PUBLIC = b"""\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkf4PSXXH5tyuMxG6NcMDROkOXLTH
7KjFg+bxf2h+ZJe626QBnLvZYJqkcWY6JAMpZ1QFDkkiCgt1505Cng3G8w==
-----END PUBLIC KEY-----
"""


def changed(**changes: Any) -> bytes:
    """The key with some of its JSON changed."""
    body = b"".join(SEALED.splitlines()[1:-1])
    document = json.loads(base64.b64decode(body))
    for name, value in changes.items():
        into, *path = name.split("__")
        inner = document
        for part in (into, *path)[:-1]:
            inner = inner[part]
        inner[(into, *path)[-1]] = value
    label = b"ENCRYPTED SIGSTORE PRIVATE KEY"
    encoded = base64.b64encode(json.dumps(document).encode())
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, encoded, label)


def test_a_key_of_cosign() -> None:
    assert is_sealed(SEALED)
    assert load(SEALED, "correct horse").public_pem == PUBLIC


def test_by_its_older_name() -> None:
    assert load(SEALED.replace(b"SIGSTORE", b"COSIGN"), "correct horse").public_pem == PUBLIC


def test_a_wrong_passphrase() -> None:
    with pytest.raises(WrongPassphrase):
        opened(SEALED, b"wrong")
    for passphrase, says in (("wrong", "does not open"), (None, "no passphrase is given")):
        with pytest.raises(KeyInvalid, match=says) as refused:
            load(SEALED, passphrase)
        assert "SIDECARGO_SIGNING__PASSPHRASE" in refused.value.fix
        assert "wrong" not in str(refused.value)
        assert refused.value.__context__ is None


@pytest.mark.parametrize(
    "pem",
    [
        b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nabc",
        SEALED.replace(b"END ENCRYPTED SIGSTORE", b"END ENCRYPTED COSIGN"),
        SEALED.replace(b"eyJ", b"eyK"),
        changed(kdf__name="argon2"),
        changed(cipher__name="aes"),
        changed(kdf__params=None),
        changed(kdf__params__N="many"),
        changed(kdf__params__N=0),
        changed(kdf__params__N=1 << 24),
        changed(kdf__params__r=1 << 40),
        changed(kdf__salt=1),
        changed(cipher__nonce="AAAA"),
        changed(ciphertext="?"),
    ],
    ids=[
        "cut",
        "two names",
        "no JSON",
        "kdf",
        "cipher",
        "no N",
        "N of letters",
        "N = 0",
        "N",
        "r",
        "salt",
        "nonce",
        "ciphertext",
    ],
)
def test_what_is_damaged_or_asks_for_too_much(pem: bytes) -> None:
    with pytest.raises(KeyInvalid, match="damaged") as refused:
        load(pem, "correct horse")
    assert refused.value.__context__ is None


def test_others_are_not_of_this_form() -> None:
    assert not is_sealed(new_key().private_pem)
