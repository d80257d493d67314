"""Identity tokens of others (OpenID Connect Core, section 3.1.3.7; RFC 8725): read, and believed or not.

Which key and which algorithm count is decided by what is known of the issuer: what a token's own header says
of where keys are (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from registry.access.keyset import Key

LONGEST = 12 << 10
"""Characters of a token that are looked at."""

SKEW = 30.0
"""Seconds that the issuer's clock may differ from ours."""

_KINDS = ("jwt", "at+jwt")
_TIMES = (0, 1 << 36)  # beyond any that is meant; infinity is a number in JSON as Python reads it


class IdTokenRefused(Exception):
    """A token that is not believed: `problem` is one word, `message` what is wrong with it."""

    def __init__(self, problem: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message


@dataclass(frozen=True, slots=True)
class Said:
    """What a token says of itself before anything is believed: who gave it, with which key."""

    issuer: str
    key_id: str
    algorithm: str
    kind: str
    is_critical: bool


def said(token: str) -> Said | None:
    """What a text says of itself, where it has the form of a signed token; None for any other."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3 or not all(parts):
        return None
    header, claims = (_document(part) for part in parts[:2])
    if header is None or claims is None:
        return None
    named = claims.get("iss"), header.get("kid", ""), header.get("alg"), header.get("typ", "jwt")
    if not all(isinstance(one, str) for one in named):
        return None
    issuer, key_id, algorithm, kind = map(str, named)
    return Said(issuer, key_id, algorithm, kind.lower(), "crit" in header)


def believed(
    token: str, key: Key | None, *, issuer: str, audience: str, algorithms: Collection[str], now: float
) -> Mapping[str, Any]:
    """The claims of a token whose form is right, by the issuer's key that it names (None: it has no such).

    Raises IdTokenRefused.
    """
    # Here: a server that knows no issuers needs none of it.
    import jwt  # noqa: PLC0415

    told = said(token)
    if told is None or told.is_critical or told.kind.removeprefix("application/") not in _KINDS:
        raise IdTokenRefused("form", "the identity token has a form that is not taken here.")
    if told.issuer != issuer:
        raise IdTokenRefused("issuer", "the identity token is of another issuer.")
    if told.algorithm not in algorithms:
        raise IdTokenRefused(
            "algorithm", f"the identity token is not signed with {' or '.join(sorted(algorithms))}."
        )
    if key is None or not told.key_id or told.algorithm not in key.algorithms:
        raise IdTokenRefused("key", "the identity token is signed with a key that its issuer does not have.")
    try:
        claims: dict[str, Any] = jwt.decode(token, key.public, [told.algorithm], options=_ONLY_THE_SIGNATURE)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise IdTokenRefused("signature", "the identity token's signature is wrong.") from None
    _must_be_for(audience, claims)
    _must_be_in_time(claims, now)
    return claims


_ONLY_THE_SIGNATURE: Any = {
    "verify_signature": True,
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False),
    **dict.fromkeys(("verify_sub", "verify_jti"), False),
}


def _must_be_for(audience: str, claims: Mapping[str, Any]) -> None:
    found = claims.get("aud")
    if audience not in (found if isinstance(found, list) else [found]):
        raise IdTokenRefused("audience", f"the identity token is not for the audience {audience}.")


def _must_be_in_time(claims: Mapping[str, Any], now: float) -> None:
    ends = _time(claims.get("exp"))
    if not now < ends + SKEW:
        raise IdTokenRefused("expired", "the identity token is over.")
    if any(_time(claims[name]) - SKEW > now for name in ("nbf", "iat") if name in claims):
        raise IdTokenRefused("early", "the identity token is of a time to come.")


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _TIMES[0] <= value < _TIMES[1]:
        raise IdTokenRefused("form", "the identity token does not say when it ends.")
    return float(value)


def _document(part: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
