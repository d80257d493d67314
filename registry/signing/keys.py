"""Keys that sign: ECDSA on the curve P-256, the kind that cosign makes."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_NEW = "Make one: sidecargo keys new FILE"
_MAX_PEM = 64 << 10


class KeyInvalid(Exception):
    """A key that cannot be used; says why and what to do, and never what was read."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


class SigningKey:
    """A private key and what may be known of it; its private part shows in no repr."""

    __slots__ = ("_private", "key_id", "public_pem")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public_pem = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id = key_id(private.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not to be pickled or copied")

    @property
    def private_pem(self) -> bytes:
        """The key as unencrypted PKCS#8 PEM, for the file that it lives in."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """The signature (DER) over the SHA-256 of `data`: the same each time (RFC 6979)."""
        return self._private.sign(data, _ECDSA)


def new_key() -> SigningKey:
    """A fresh key."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def load(pem: bytes) -> SigningKey:
    """Read an unencrypted PKCS#8 or SEC1 key in PEM; raises KeyInvalid."""
    if problem := _by_label(pem):
        raise problem
    # Some of cryptography's own messages quote their input: none of them is kept, not even as a cause.
    failure = None
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        failure = _encrypted()
    except (ValueError, UnsupportedAlgorithm):
        failure = KeyInvalid("the signing key cannot be read: damaged, or of an unknown kind.", _NEW)
    if failure:
        raise failure
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise KeyInvalid("the signing key is not an elliptic-curve key.", f"cosign needs P-256. {_NEW}")
    if not isinstance(private.curve, ec.SECP256R1):
        raise KeyInvalid(f"the signing key is on the curve {private.curve.name}, not P-256.", _NEW)
    return SigningKey(private)


def load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public P-256 key in PEM; raises KeyInvalid."""
    fix = "Take it from GET /keys/cosign.pub, or: cosign public-key --key FILE"
    try:
        public = serialization.load_pem_public_key(pem[:_MAX_PEM])
    except (ValueError, UnsupportedAlgorithm):
        raise KeyInvalid("the public key cannot be read: it is no public key in PEM.", fix) from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise KeyInvalid("the public key is not one of the curve P-256.", fix)
    return public


def key_id(public: ec.EllipticCurvePublicKey) -> str:
    """What a key is called: the SHA-256 of its public part's DER, in hexadecimal."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _by_label(pem: bytes) -> KeyInvalid | None:
    """What can be told without parsing: the usual mix-ups."""
    if not pem.strip():
        return KeyInvalid("the signing key's file is empty.", _NEW)
    if len(pem) > _MAX_PEM:
        return KeyInvalid("the signing key's file is too large for a key.", _NEW)
    if b"-----BEGIN ENCRYPTED" in pem or b"Proc-Type: 4,ENCRYPTED" in pem:
        return _encrypted()
    if b"-----BEGIN PUBLIC KEY" in pem:
        return KeyInvalid("this is a public key; signing needs the private one.", _NEW)
    if b"-----BEGIN CERTIFICATE" in pem:
        return KeyInvalid("this is a certificate; signing needs its private key.", _NEW)
    if b"-----BEGIN" not in pem:
        return KeyInvalid("the signing key is not in PEM (-----BEGIN PRIVATE KEY-----).", _NEW)
    return None


def _encrypted() -> KeyInvalid:
    return KeyInvalid(
        "the signing key is encrypted, and this release takes unencrypted keys only.",
        "Decrypt it (openssl pkey -in KEY -out FILE), keep it 0600. Or make one: sidecargo keys new FILE",
    )
