"""Tokens of ours as values. `registry.access.tokens` writes and reads them."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry.access.identities import Identity
from registry.access.scopes import Scope

PREFIX = "scp_"
"""Begins a personal token, for those who look for secrets in places where none should be."""


class TokenInvalid(Exception):
    """A token that is not ours, is for something else, or is over."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: whose it is (None: anybody's), what it is limited to, when it ends."""

    identity: Identity | None
    scopes: frozenset[Scope]
    ends: float


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and from when on for how many seconds it is good."""

    token: str = field(repr=False)
    since: float
    seconds: int


@dataclass(frozen=True, slots=True)
class Personal:
    """A token that somebody keeps; by its id it is revoked."""

    id: str
    holder: str
    token: str = field(repr=False)
    ends: float


def is_personal(shown: str) -> bool:
    """Whether it has the form of a personal token."""
    return shown.startswith(PREFIX)
