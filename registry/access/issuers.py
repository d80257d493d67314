"""Those who say elsewhere who somebody is: what is taken from one, and whom it makes known."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Set
from dataclasses import dataclass

from registry.access.claims import Naming, Requirement, TooManyGroups
from registry.access.identities import Identity
from registry.access.idtokens import SKEW, IdTokenRefused, believed
from registry.access.keyset import Key
from registry.access.principal import OIDC


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer of identity tokens: its `name` here, its `url` as its tokens have it, what they must be.

    `audience` is whom its tokens must be for; "" takes none of them from whoever shows one.
    """

    name: str
    url: str
    audience: str
    naming: Naming
    algorithms: tuple[str, ...]
    required: tuple[Requirement, ...] = ()

    @property
    def proof(self) -> str:
        """Tells one way to know people from another: when the settings say it otherwise, tokens are over."""
        said = [
            self.url,
            str(self.naming.user),
            [*map(str, self.naming.groups)],
            [[one.path, *one.patterns] for one in self.required],
        ]
        return hashlib.sha256(b"issuer:" + json.dumps(said).encode()).hexdigest()[:24]

    def identity(
        self, token: str, key: Key | None, now: float, *, audience: str = "", nonce: str = ""
    ) -> Identity:
        """Who a token says its holder is, by the key that it names; raises IdTokenRefused.

        `audience` is another one than what is taken from anybody, `nonce` what the token must answer.
        """
        wanted = audience or self.audience
        if not wanted:
            raise IdTokenRefused("audience", "the identity tokens of this issuer are not taken here.")
        claims = believed(
            token, key, issuer=self.url, audience=wanted, algorithms=self.algorithms, now=now
        )  # fmt: skip
        if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise IdTokenRefused("nonce", "the identity token is not for this login.")
        for one in self.required:
            if not one.holds(claims):
                raise IdTokenRefused(
                    "required", f"the identity token's {one.path} is none that is let in here."
                )
        try:
            user, groups = self.naming.user_of(claims), self.naming.groups_of(claims)
        except TooManyGroups:
            raise IdTokenRefused("groups", "the identity token has more groups than are taken.") from None
        if user is None:
            raise IdTokenRefused(
                "name", f"the identity token does not say who it is for: it lacks {self.naming.user}."
            )
        return Identity(f"{OIDC}{self.name}/{user}", self.proof, groups, float(claims["exp"]) + SKEW)


def within(identity: Identity, groups: Set[str]) -> Identity:
    """The identity with those of its groups that matter: what no rule names gives nothing."""
    return Identity(identity.name, identity.proof, identity.groups & groups, identity.ends)
