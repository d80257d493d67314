"""Who asks."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass

from registry.access.scopes import Scope

ANONYMOUS = "anonymous"
AUTHENTICATED = "authenticated"
USER, ROBOT, GROUP, OIDC = "user:", "robot:", "group:", "oidc:"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,126}[A-Za-z0-9])?")
_GROUP = re.compile(r"[!-~]{1,256}")
_ISSUER = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether a user or a robot may be called so."""
    return _NAME.fullmatch(text) is not None


def is_issuer(text: str) -> bool:
    """Whether those whom another one knows may be told by this name of it: `oidc:ISSUER/NAME`."""
    return _ISSUER.fullmatch(text) is not None


def validated(who: str) -> str:
    """What a rule's `who` names, when it is well-formed; raises ValueError with the fix otherwise."""
    if who in (ANONYMOUS, AUTHENTICATED):
        return who
    kind, _, name = who.partition(":")
    issuer, _, called = name.partition("/")
    forms = {
        USER: is_name(name),
        ROBOT: is_name(name),
        GROUP: _GROUP.fullmatch(name),
        OIDC: is_issuer(issuer) and _GROUP.fullmatch(called),
    }
    if forms.get(f"{kind}:"):
        return who
    raise ValueError(
        f"{who!r} is nobody; write user:NAME, robot:NAME, group:NAME, oidc:ISSUER/NAME, authenticated, "
        "or anonymous (everybody)"
    )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a name (`user:alice`, `robot:deploy`; "" is anonymous) and the address of the connection.

    The address is "" where it is not known. `scopes` is what a token is limited to; None: nothing limits.
    `proof` is a print of what the credential was held against, `ends` when it is over by itself, and `by` the
    id of the personal token that was shown, if one was.
    """

    name: str
    address: str
    groups: frozenset[str] = frozenset()
    scopes: frozenset[Scope] | None = None
    proof: str = ""
    ends: float = math.inf
    by: str = ""

    @property
    def known_as(self) -> frozenset[str]:
        """Every `who` of a rule that means this principal."""
        if not self.name:
            return frozenset((ANONYMOUS,))
        return frozenset((ANONYMOUS, AUTHENTICATED, self.name, *(f"{GROUP}{name}" for name in self.groups)))

    @property
    def has_logged_in(self) -> bool:
        """Whether it has shown anything, be it a token that is for everybody."""
        return bool(self.name) or self.scopes is not None

    @property
    def is_local(self) -> bool:
        """Whether the connection comes from this machine."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return False
        # A socket of both kinds shows IPv4 peers as ::ffff:127.0.0.1.
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        return self.name or ANONYMOUS
