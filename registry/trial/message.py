"""Requests and answers as they were seen, and what one has that the other has not (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_BODY = 1 << 20
"""Bytes of a body that are kept."""

Headers = tuple[tuple[str, str], ...]

# A measured time: another one in every answer.
_VARYING = frozenset(("x-envoy-upstream-service-time",))
# Of one connection, not of the message: they come and go with how a body is sent.
_OF_THE_CONNECTION = frozenset(("connection", "keep-alive", "transfer-encoding"))


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send; a header that is also ours replaces ours."""

    method: str = "GET"
    path: str = "/"
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as an upstream saw it."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""

    def named(self) -> Headers:
        """Its headers, with method, path and authority as plugins name them."""
        named = ((":authority" if name.lower() == "host" else name, value) for name, value in self.headers)
        return ((":method", self.method), (":path", self.path), *named)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the client got it."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Changes:
    """How headers differ: those that were added, those with other values, the names of those gone."""

    added: Headers = ()
    changed: Headers = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


NO_CHANGES = Changes()
PLAIN_GET = Request()


def changes(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> Changes:
    """What was done to headers; several of one name are one, their values joined by a comma."""
    old, new = _by_name(before), _by_name(after)
    return Changes(
        added=tuple((name, value) for name, value in new.items() if name not in old),
        changed=tuple(
            (name, value)
            for name, value in new.items()
            if name in old and value != old[name] and name not in _VARYING
        ),
        removed=tuple(name for name in old if name not in new),
    )


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in _OF_THE_CONNECTION:
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
