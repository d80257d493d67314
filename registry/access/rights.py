"""Rights, and whether a principal has one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum


class Right(Enum):
    """What a route needs. `OPEN` is asked by routes that show nothing of any repository."""

    OPEN = "open"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a name ("" is anonymous) and the address that the connection comes from ("" is unknown)."""

    name: str
    address: str

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


def allowed(principal: Principal, right: Right, repository: str | None) -> bool:
    """Without access rules: pull and push for all, delete and administration from loopback only."""
    del repository
    return right in (Right.OPEN, Right.PULL, Right.PUSH) or principal.is_local
