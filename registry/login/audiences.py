"""For whom the hot path may answer: whose credential was right a moment ago, by its seal."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from registry.access.principal import GROUP, Principal
from registry.access.seal import Seal
from registry.hot.cache import EVERYBODY

SECONDS = 2.0
"""For how long nobody looks whether a credential is still right."""

ENTRIES = 20_000


class Audiences:
    """Who may be answered from memory, bounded; nothing in it is a credential.

    An audience is who asks with what a token is limited to: two credentials of one audience may see the
    same, for rules do not change while a process runs. Whether it may see something is decided where an
    answer is first made for it.
    """

    def __init__(
        self, seal: Seal, clock: Callable[[], float] = time.monotonic, entries: int = ENTRIES
    ) -> None:
        self.seal = seal
        self._clock = clock
        self._entries = entries
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, sealed: bytes, principal: Principal, seconds: float = SECONDS) -> None:
        """A credential was right just now; for a token, `seconds` are what is left of it, at most."""
        until = self._clock() + min(seconds, SECONDS)
        self._known[sealed] = (of(principal), until)
        self._known.move_to_end(sealed)
        while len(self._known) > self._entries:
            self._known.popitem(last=False)

    def identify(self, sealed: bytes | None) -> str | None:
        """The audience of a credential by its seal; None: it has to be looked at again."""
        if sealed is None:
            return EVERYBODY
        known = self._known.get(sealed)
        return known[0] if known is not None and self._clock() < known[1] else None


def of(principal: Principal) -> str:
    """The audience of a principal. No part of a name has a space in it, so two never become one."""
    if not principal.name:
        return EVERYBODY
    limits = () if principal.scopes is None else ("limited", *sorted(map(str, principal.scopes)))
    groups = sorted(f"{GROUP}{name}" for name in principal.groups)
    return " ".join((principal.name, *groups, *limits))
