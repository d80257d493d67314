"""Robots: what logs in without a person, by a secret that is random and known by its hash alone.

The secret has 256 bits of chance, so a plain SHA-256 tells as little of it as a slow hash would, and any
number of agents may log in at once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime

LIVE = 2
"""Secrets of one robot at a time: the one before, and the one that replaces it."""

_PREFIX = "scr_"  # for those who look for secrets in places where none should be
_SECRET = re.compile(rb"scr_[A-Za-z0-9_-]{43}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot, the hashes of its secrets, and the day (UTC) from which on it is not known any more."""

    name: str
    hashes: tuple[str, ...]
    expires: date | None = None

    def proof(self, secret: bytes) -> str | None:
        """The hash that the secret belongs to, if any does."""
        shown = hashed(secret)
        # All of them are compared, however early one is found.
        found = [known for known in self.hashes if hmac.compare_digest(known, shown)]
        return found[0] if found else None

    @property
    def ends(self) -> float | None:
        """When it expires, in seconds since the epoch."""
        if self.expires is None:
            return None
        return datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=UTC).timestamp()


def new_secret() -> str:
    """A secret that nobody has; it is shown once and kept nowhere."""
    return _PREFIX + secrets.token_urlsafe(32)


def is_secret(shown: bytes) -> bool:
    """Whether it has the form of a robot's secret, which nobody's password has."""
    return _SECRET.fullmatch(shown) is not None


def hashed(secret: bytes) -> str:
    """What is kept of a secret: `sha256:HEX`."""
    return f"sha256:{hashlib.sha256(secret).hexdigest()}"


def is_hash(text: str) -> bool:
    """Whether the text has the form of a secret's hash."""
    return _HASH.fullmatch(text) is not None
