"""How long who failed to log in waits for the next try: a bounded table, and the caller's clock."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

FREE = 5
"""Tries at once that wait for nothing."""

SECONDS = 1.0
"""What each further try costs."""

LONGEST = 5.0
"""Seconds that a try may have to wait; whoever would wait longer is sent away."""

ENTRIES = 10_000

_PREFIX = 64  # of IPv6, a client has at least that much to itself


class Slowness:
    """By name and address together: nobody slows down others, and no address tries many names unseen."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._paid: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paid)

    def wait(self, name: str, address: str, now: float) -> float | None:
        """Seconds to wait before this try, which now counts; None: too many, and it does not."""
        key = (name, _network(address))
        paid = max(self._paid.get(key, now), now)
        wait = max(paid - FREE * SECONDS + SECONDS - now, 0.0)
        if wait > LONGEST:
            return None
        self._paid[key] = paid + SECONDS
        self._paid.move_to_end(key)
        while len(self._paid) > self._entries:
            self._paid.popitem(last=False)
        return wait

    def forgive(self, name: str, address: str) -> None:
        """The credential was right."""
        self._paid.pop((name, _network(address)), None)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, _PREFIX), strict=False))
    return address
