"""Tokens for a short time, and tokens to get them with (distribution, "Token Authentication"; RFC 7519).

One key and one algorithm: what a token's own header says of keys is never looked at.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import jwt
from jwt.algorithms import ECAlgorithm

from registry.access.identities import Identity
from registry.access.issued import PREFIX, Claims, Issued, Personal, TokenInvalid, is_personal
from registry.access.scopes import Scope, parse
from storage.errors import Unusable

REFRESH_SECONDS = 90 * 86400.0
"""How long a refresh token is good, while what its holder logged in with is kept."""

SKEW = 10.0
"""Seconds that clocks of replicas may differ."""

LONGEST = 12 << 10
"""Characters of a token that are looked at."""

_ALGORITHM = "ES256"


class TokenKeyInvalid(Unusable):
    """What is given as a key is no private P-256 key in PEM."""

    def __init__(self) -> None:
        super().__init__(
            "access.tokens.key is no private P-256 key.", "Make one by `sidecargo keys new tokens.key`."
        )


class Tokens:
    """Writes and reads tokens of `service`, which `issuer` (a URL) gives, signed by a P-256 key.

    `lifetime` is in seconds. Raises TokenKeyInvalid.
    """

    def __init__(
        self,
        key_pem: bytes,
        issuer: str,
        service: str,
        lifetime: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        try:
            key: Any = ECAlgorithm(ECAlgorithm.SHA256).prepare_key(key_pem)
            self._key = key
            self._public = key.public_key()
            curve = key.curve.name
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise TokenKeyInvalid from None
        if curve != "secp256r1":
            raise TokenKeyInvalid
        self._issuer = issuer
        self.service = service
        self._lifetime = lifetime
        self._clock = clock

    def access(self, identity: Identity | None, scopes: Iterable[Scope]) -> Issued:
        """A token for the scopes, which its holder has; it ends when its holder's own credential does."""
        named = (scope.kind_name_actions for scope in sorted(scopes, key=str))
        access = [{"type": kind, "name": name, "actions": actions} for kind, name, actions in named]
        return self._issued(self.service, identity, self._lifetime, {"access": access})

    def refresh(self, identity: Identity) -> str:
        """A token that gets others."""
        return self._issued(self._refreshing, identity, REFRESH_SECONDS, {}).token

    def personal(self, identity: Identity, seconds: float) -> Personal:
        """A token that somebody keeps, and shows as a password: it has the groups that he is in now."""
        token_id = secrets.token_hex(8)
        holder = replace(identity, ends=math.inf)  # it outlives the login by which it was got
        issued = self._issued(self._personal, holder, seconds, {"jti": token_id})
        return Personal(token_id, holder.name, f"{PREFIX}{issued.token}", issued.since + issued.seconds)

    def read_personal(self, token: str) -> Identity:
        """Whose a personal token is, until when, and by which id; raises TokenInvalid."""
        said = self._said(token.removeprefix(PREFIX), self._personal, 0.0)
        identity, token_id = _identity(said), said.get("jti")
        if not is_personal(token) or identity is None or not isinstance(token_id, str):
            raise TokenInvalid
        return replace(identity, ends=float(said["exp"]), by=token_id)

    def read(self, token: str, late: float = 0.0) -> Claims:
        """What an access token says, until `late` seconds after its end; raises TokenInvalid."""
        said = self._said(token, self.service, late)
        try:
            texts = [f"{one['type']}:{one['name']}:{','.join(one['actions'])}" for one in said["access"]]
            return Claims(_identity(said), parse(texts), float(said["exp"]))
        except (KeyError, TypeError):
            raise TokenInvalid from None

    def read_refresh(self, token: str) -> Identity:
        """Whose a refresh token is; raises TokenInvalid."""
        identity = _identity(self._said(token, self._refreshing, 0.0))
        if identity is None:
            raise TokenInvalid
        return identity

    @property
    def _refreshing(self) -> str:
        # Another audience: neither kind of token is ever taken for the other.
        return f"{self.service}/token"

    @property
    def _personal(self) -> str:
        return f"{self.service}/personal"

    def _issued(
        self, audience: str, identity: Identity | None, seconds: float, more: dict[str, Any]
    ) -> Issued:
        now = self._clock()
        seconds = max(min(seconds, identity.ends - now), 0.0) if identity is not None else seconds
        claims = {"iss": self._issuer, "aud": audience, "iat": int(now), "exp": int(now + seconds)}
        claims |= {"jti": secrets.token_urlsafe(12), **more}
        if identity is not None:
            claims |= {"sub": identity.name, "proof": identity.proof}
        if identity is not None and identity.groups:
            claims["groups"] = sorted(identity.groups)
        if identity is not None and identity.by:
            claims["by"] = identity.by
        return Issued(jwt.encode(claims, self._key, _ALGORITHM), now, int(seconds))

    def _said(self, token: str, audience: str, late: float) -> dict[str, Any]:
        if len(token) > LONGEST:
            raise TokenInvalid
        try:
            said: dict[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                options={"require": ["iss", "aud", "iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
            ends, since = float(said["exp"]), float(said["iat"])
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenInvalid from None
        now = self._clock()
        if not (since - SKEW <= now < ends + SKEW + late):
            raise TokenInvalid
        return said


def _identity(said: dict[str, Any]) -> Identity | None:
    if "sub" not in said:
        return None
    name, proof, by, groups = said["sub"], said.get("proof"), said.get("by", ""), said.get("groups", [])
    if not isinstance(name, str) or not isinstance(proof, str) or not isinstance(by, str):
        raise TokenInvalid
    if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise TokenInvalid
    return Identity(name, proof, frozenset(groups), by=by)
