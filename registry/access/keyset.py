"""The keys of an issuer (JWK Set, RFC 7517): those that can verify what it signs. Data in, data out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The algorithms that there are: in all of them, who verifies cannot sign."""

MOST = 100
"""Keys of one issuer that are looked at."""

_LEAST_RSA_BITS = 2048
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class KeySetInvalid(Exception):
    """A document that is no set of keys."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and the algorithms that it is for."""

    public: Any = field(repr=False)
    algorithms: frozenset[str]


def parse(document: bytes) -> Mapping[str, Key]:
    """The keys by their ids; what has no id, is not for signatures, or is weak is left out.

    Raises KeySetInvalid where that leaves none, or the document has another form.
    """
    try:
        entries = json.loads(document)["keys"]
        found = [(one["kid"], _key(one)) for one in entries[:MOST] if isinstance(one.get("kid"), str)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise KeySetInvalid("is no set of keys") from None
    # Of two keys with one id the first counts: nobody could say which of them is meant.
    keys = {kid: key for kid, key in reversed(found) if key is not None}
    if not keys:
        raise KeySetInvalid("has no key that verifies signatures")
    return keys


def _key(said: Mapping[str, Any]) -> Key | None:
    # Here: a server that knows no issuers needs none of it.
    import jwt  # noqa: PLC0415

    fits = _fitting(said)
    if said.get("use", "sig") != "sig" or "verify" not in said.get("key_ops", ("verify",)) or not fits:
        return None
    try:
        public: Any = jwt.PyJWK({name: said[name] for name in _PARTS if name in said}, min(fits)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if said["kty"] == "RSA" and public.key_size < _LEAST_RSA_BITS:
        return None
    return Key(public, fits)


# The public parts: where an issuer publishes a private key by mistake, it verifies all the same.
_PARTS = ("kty", "crv", "x", "y", "n", "e")


def _fitting(said: Mapping[str, Any]) -> frozenset[str]:
    """What a key can verify, and is for."""
    kind, curve = said.get("kty"), said.get("crv")
    fits: frozenset[str] = frozenset()
    if kind == "RSA":
        fits = frozenset(one for one in ALGORITHMS if one[:2] in ("RS", "PS"))
    elif kind == "EC" and curve in _CURVES:
        fits = frozenset((_CURVES[curve],))
    elif kind == "OKP" and curve == "Ed25519":
        fits = frozenset(("EdDSA",))
    return fits & {said["alg"]} if "alg" in said else fits
