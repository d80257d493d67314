"""Signing in elsewhere by a browser (OpenID Connect Core, section 3.1; RFC 7636), as values.

All that goes along follows from one secret, which only the browser keeps: nothing is remembered here, so any
replica may answer when it comes back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from registry.access.principal import is_issuer

SECONDS = 600
"""How long one may take to sign in."""

_SEED = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was begun, with an issuer, by whoever has the seed."""

    issuer: str
    seed: str = field(repr=False)

    @classmethod
    def begin(cls, issuer: str) -> Attempt:
        """A new one."""
        return cls(issuer, secrets.token_urlsafe(32))

    @classmethod
    def read(cls, kept: str) -> Attempt | None:
        """The one that a browser has kept; None for any other text."""
        seed, _, issuer = kept.partition(".")
        return cls(issuer, seed) if _SEED.fullmatch(seed) and is_issuer(issuer) else None

    @property
    def kept(self) -> str:
        """What a browser keeps."""
        return f"{self.seed}.{self.issuer}"

    @property
    def nonce(self) -> str:
        """What the identity token must answer."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What shows that who has the code also began this."""
        return self._derived("verifier")

    def is_of(self, state: str) -> bool:
        """Whether what a browser brings back belongs to this."""
        return hmac.compare_digest(self._derived("state").encode(), state.encode("utf-8", "replace"))

    def url(self, endpoint: str, client: str, scopes: Iterable[str], back: str) -> str:
        """Where the browser signs in, to be sent `back` from."""
        asked = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": back,
            "scope": " ".join(scopes),
            "state": self._derived("state"),
            "nonce": self.nonce,
            "code_challenge": _text(hashlib.sha256(self.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def _derived(self, purpose: str) -> str:
        return _text(hmac.digest(self.seed.encode(), f"{purpose} {self.issuer}".encode(), "sha256"))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
