"""Keys that sign: ECDSA on the curve P-256, the kind that cosign makes."""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.signing import sealed
from registry.signing.sealed import WrongPassphrase
from storage.errors import Unusable

_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_NEW = "Make one: sidecargo keys new FILE"
_SAY_IT = (
    "Set SIDECARGO_SIGNING__PASSPHRASE or COSIGN_PASSWORD to it. "
    "Or make a key without one: sidecargo keys new FILE"
)
_MAX_PEM = 64 << 10
_MAX_SIGNATURE = 72
"""Bytes of a DER signature on P-256: two numbers of 33 bytes, each with its head, in a sequence."""


class SignatureInvalid(Exception):
    """A signature that does not hold; its text says which step failed."""


class OtherKey(SignatureInvalid):
    """A signature that this key has not made; another one may have."""


class KeyInvalid(Unusable):
    """A signing key that cannot be used."""


class PublicKey:
    """What signatures are verified with. `key_id` is the SHA-256 of its DER, in hexadecimal."""

    __slots__ = ("_public", "key_id", "pem")

    def __init__(self, public: ec.EllipticCurvePublicKey) -> None:
        self._public = public
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.pem = public.public_bytes(serialization.Encoding.PEM, form)
        self.key_id = hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()

    def __repr__(self) -> str:
        return f"PublicKey({self.key_id})"

    @property
    def hint(self) -> str:
        """How a sigstore bundle calls the key: the same digest in base64."""
        return base64.b64encode(bytes.fromhex(self.key_id)).decode()

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises OtherKey where the signature (DER) is not this key's over the SHA-256 of `data`.

        Raises SignatureInvalid for what is no key's. Of the two values of s that hold, either counts: so it
        does for cosign.
        """
        if len(signature) > _MAX_SIGNATURE:
            raise SignatureInvalid("the signature is too long to be one of P-256.")
        try:
            self._public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise OtherKey("the signature was not made with this key over this payload.") from None


class SigningKey:
    """A private key and what may be known of it; its private part shows in no repr."""

    __slots__ = ("_private", "public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @property
    def key_id(self) -> str:
        """What its public part is called."""
        return self.public.key_id

    @property
    def public_pem(self) -> bytes:
        """Its public part in PEM."""
        return self.public.pem

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


def load(pem: bytes, passphrase: str | None = None) -> SigningKey:
    """Read a private key in PEM: PKCS#8 or SEC1, plain or encrypted, or cosign's own form; raises KeyInvalid.

    A passphrase that a plain key does not need is no error.
    """
    # Some of cryptography's own messages quote their input: none of them is kept, not even as a cause.
    failure = _by_label(pem, passphrase)
    private = None
    if failure is None:
        try:
            private = _private(pem, passphrase)
        except WrongPassphrase:
            failure = KeyInvalid("the passphrase does not open the signing key.", _SAY_IT)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            failure = KeyInvalid("the signing key cannot be read: damaged, or of an unknown kind.", _NEW)
    if failure:
        raise failure
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise KeyInvalid("the signing key is not an elliptic-curve key.", f"cosign needs P-256. {_NEW}")
    if not isinstance(private.curve, ec.SECP256R1):
        raise KeyInvalid(f"the signing key is on the curve {private.curve.name}, not P-256.", _NEW)
    return SigningKey(private)


def _private(pem: bytes, passphrase: str | None) -> object:
    secret = None if passphrase is None else passphrase.encode()
    if sealed.is_sealed(pem):
        return serialization.load_der_private_key(sealed.opened(pem, secret or b""), password=None)
    if not _is_encrypted(pem):
        return serialization.load_pem_private_key(pem, password=None)
    try:
        return serialization.load_pem_private_key(pem, password=secret)
    except (ValueError, TypeError):
        # That of a wrong passphrase cannot be told from that of damage.
        raise WrongPassphrase from None


def load_public(pem: bytes) -> PublicKey:
    """Read a public P-256 key in PEM; raises KeyInvalid."""
    fix = "Take it from GET /keys/cosign.pub, or: cosign public-key --key FILE"
    try:
        public = serialization.load_pem_public_key(pem[:_MAX_PEM])
    except (ValueError, UnsupportedAlgorithm):
        raise KeyInvalid("the public key cannot be read: it is no public key in PEM.", fix) from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise KeyInvalid("the public key is not one of the curve P-256.", fix)
    return PublicKey(public)


def is_public(pem: bytes) -> bool:
    """Whether a PEM text is labelled as a public key."""
    return b"-----BEGIN PUBLIC KEY" in pem


def is_private(pem: bytes) -> bool:
    """Whether a PEM text is labelled as a private key, of whatever form."""
    return b"-----BEGIN" in pem and b"PRIVATE KEY-----" in pem


def _by_label(pem: bytes, passphrase: str | None) -> KeyInvalid | None:
    """What can be told without parsing: the usual mix-ups."""
    if not pem.strip():
        return KeyInvalid("the signing key's file is empty.", _NEW)
    if len(pem) > _MAX_PEM:
        return KeyInvalid("the signing key's file is too large for a key.", _NEW)
    if passphrase is None and (sealed.is_sealed(pem) or _is_encrypted(pem)):
        return KeyInvalid("the signing key is encrypted, and no passphrase is given.", _SAY_IT)
    if is_public(pem):
        return KeyInvalid("this is a public key; signing needs the private one.", _NEW)
    if b"-----BEGIN CERTIFICATE" in pem:
        return KeyInvalid("this is a certificate; signing needs its private key.", _NEW)
    if b"-----BEGIN" not in pem:
        return KeyInvalid("the signing key is not in PEM (-----BEGIN PRIVATE KEY-----).", _NEW)
    return None


def _is_encrypted(pem: bytes) -> bool:
    return b"-----BEGIN ENCRYPTED PRIVATE KEY" in pem or b"Proc-Type: 4,ENCRYPTED" in pem
