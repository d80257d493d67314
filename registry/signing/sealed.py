"""Private keys as cosign keeps them: "ENCRYPTED SIGSTORE PRIVATE KEY", which was "…COSIGN…" before.

The PEM block holds JSON, sealed by a passphrase (secure-systems-lab/go-securesystemslib, `encrypted`): scrypt
makes a key of it, NaCl's secretbox (XSalsa20 and Poly1305) opens with that the PKCS#8 in DER.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import import_module
from typing import Any

_BLOCK = re.compile(
    rb"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)"
    rb"-----END ENCRYPTED \1 PRIVATE KEY-----"
)
_NONCE = 24
_MOST_MEMORY = 256 << 20
"""What scrypt may take: cosign's own parameters take 64 MiB."""


class WrongPassphrase(Exception):
    """The passphrase does not open the key."""


def is_sealed(pem: bytes) -> bool:
    """Whether a PEM text holds a key in this form."""
    return b"-----BEGIN ENCRYPTED SIGSTORE" in pem or b"-----BEGIN ENCRYPTED COSIGN" in pem


def opened(pem: bytes, passphrase: bytes) -> bytes:
    """The private key in DER (PKCS#8); raises WrongPassphrase, ValueError for what is damaged or unknown."""
    block = _BLOCK.search(pem)
    if block is None:
        raise ValueError("no block")
    sealed = _read(b"".join(block[2].split()))
    memory = 128 * sealed["r"] * (sealed["N"] + sealed["p"] + 2)
    if memory > _MOST_MEMORY:
        raise ValueError("too much memory")
    # Here, for few keys are of this form, and nothing else needs libsodium.
    secretbox, failures = import_module("nacl.secret").SecretBox, import_module("nacl.exceptions")
    key = hashlib.scrypt(
        passphrase,
        salt=sealed["salt"],
        n=sealed["N"],
        r=sealed["r"],
        p=sealed["p"],
        dklen=secretbox.KEY_SIZE,
        maxmem=memory + (1 << 20),
    )
    try:
        return bytes(secretbox(key).decrypt(sealed["ciphertext"], sealed["nonce"]))
    except failures.CryptoError:
        raise WrongPassphrase from None


def _read(encoded: bytes) -> dict[str, Any]:
    """The parts of a sealed key; raises ValueError."""
    try:
        document = json.loads(base64.b64decode(encoded, validate=True))
        kdf, cipher = document["kdf"], document["cipher"]
        if (kdf["name"], cipher["name"]) != ("scrypt", "nacl/secretbox"):
            raise ValueError("another form")
        found = {name: int(kdf["params"][name]) for name in ("N", "r", "p")}
        if any(number < 1 for number in found.values()):
            raise ValueError("wrong parameters")
        nonce = base64.b64decode(cipher["nonce"], validate=True)
        if len(nonce) != _NONCE:
            raise ValueError("wrong nonce")
        return found | {
            "salt": base64.b64decode(kdf["salt"], validate=True),
            "nonce": nonce,
            "ciphertext": base64.b64decode(document["ciphertext"], validate=True),
        }
    except (KeyError, TypeError, RecursionError):
        raise ValueError("another form") from None
