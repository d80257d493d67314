"""Whose client a request is, where proxies are on the way: what trusted ones say of it counts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Some proxies write the port, too: 192.0.2.1:4711, [2001:db8::1]:4711.
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")


class Proxies:
    """The proxies that are trusted, by their networks."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ipaddress.ip_network, networks))

    def trusts(self, address: str) -> bool:
        """Whether what comes from an address is a trusted proxy's word."""
        found = _read(address)
        return found is not None and self._is_one(found)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address, by the connection's and the values of `X-Forwarded-For`, in their order.

        Each proxy adds who spoke to it at the end, so they are read from there, for as long as trusted ones
        say it: what a client has written itself is behind the first that is not.
        """
        address = _read(peer)
        if address is None:
            return peer
        hops = [hop for value in forwarded for hop in value.split(",")] if self._is_one(address) else []
        for hop in reversed(hops):
            before = _read(hop.strip())
            if before is None:
                break
            address = before
            if not self._is_one(address):
                break
        return str(address)

    def _is_one(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _read(text: str) -> Address | None:
    """An address, however it is written; None for what is none."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket of both kinds shows IPv4 peers as ::ffff:192.0.2.1.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
