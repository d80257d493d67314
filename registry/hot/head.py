"""A plain request head, read from its raw bytes; whatever is not plain is the full parser's.

Two readers of one stream must never differ on where a message ends or what it asks (request
smuggling), so this one accepts a narrow form of RFC 9112 only: `GET` or `HEAD`, one line a field,
CRLF everywhere, nothing that announces a body, changes the protocol, or makes the answer depend on
more than target, credentials and entity tag. Pure: bytes in, a value out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from registry.access.seal import Seal
from registry.hot.conditional import read_tags
from storage.pulls import AGENT

MAX_BYTES = 64 << 10
"""The longest head, by default."""

MAX_FIELDS = 100
"""The most header fields, by default."""

_BEGINNINGS = (b"GET /", b"HEAD /")
_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(rb"(GET|HEAD) (/(?!/)[A-Za-z0-9/._:@~+=,-]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e]*)")
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]+")
_DECISIVE = frozenset(
    {
        # a body, or a doubt about one
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"te",
        b"trailer",
        b"expect",
        # another protocol
        b"upgrade",
        b"http2-settings",
        b"proxy-connection",
        # a part of the answer, or another condition on it
        b"range",
        b"if-range",
        b"if-match",
        b"if-modified-since",
        b"if-unmodified-since",
        # credentials of another kind
        b"cookie",
    }
)
_SLOT = 568  # a Head, its set of tags, and its place in the dict; held by a test


@dataclass(frozen=True, slots=True)
class Head:
    """What a plain head asks: `bodiless` for HEAD, `tags` of If-None-Match (None: not conditional).

    `agent` is who says so of itself. In a memo, a seal stands in the place of `authorization`.
    """

    target: bytes
    bodiless: bool
    authorization: bytes | None
    tags: frozenset[bytes] | None
    agent: bytes = b""

    __hash__ = object.__hash__  # by identity, for the hot path: a memo has one of each


def read_head(data: bytes, max_bytes: int = MAX_BYTES, max_fields: int = MAX_FIELDS) -> Head | None:
    """The head that `data` is, from its first byte to its last; None when anything about it is not plain."""
    if len(data) > max_bytes or not data.startswith(_BEGINNINGS) or not data.endswith(_END):
        return None
    lines = data[: -len(_END)].split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(lines[0])
    if request is None or len(lines) - 1 > max_fields:
        return None
    hosts = 0
    single: dict[bytes, bytes] = {}
    for line in lines[1:]:
        # A second head, an empty line and a folded one are no fields either.
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name, value = field[1].lower(), field[2].strip(b" \t")
        if name in _DECISIVE:
            return None
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                return None
        elif name == b"connection":
            if value.lower() != b"keep-alive":
                return None
        elif name == b"user-agent":
            single.setdefault(name, value[:AGENT])
        elif name in (b"authorization", b"if-none-match"):
            if name in single:
                return None
            single[name] = value
    if hosts != 1:
        return None
    tags = None
    if (condition := single.get(b"if-none-match")) is not None:
        tags = read_tags(condition)
        if tags is None:
            return None
    agent = single.get(b"user-agent", b"")
    return Head(request[2], request[1] == b"HEAD", single.get(b"authorization"), tags, agent)


class HeadMemo:
    """Heads that were answered before, by their raw bytes; the oldest goes when `budget` bytes are full.

    `known` may be asked directly: one look-up is all that a repeated head costs. A head with a credential is
    there by its `seal`, a keyed hash, so that no credential stays in memory.
    """

    def __init__(
        self,
        budget: int,
        max_bytes: int = MAX_BYTES,
        max_fields: int = MAX_FIELDS,
        seal: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._seal = seal or Seal()
        self.budget = budget
        self.used = 0
        self.known: dict[bytes, Head] = {}
        self._max_bytes = max_bytes
        self._max_fields = max_fields

    def sealed(self, data: bytes) -> Head | None:
        """The head that `data` is, if it is known and has a credential."""
        if len(data) > self._max_bytes or not data.startswith(_BEGINNINGS):
            return None
        return self.known.get(self._seal(data))

    def read(self, data: bytes) -> Head | None:
        """`read_head` within this memo's limits; nothing is remembered."""
        head = read_head(data, self._max_bytes, self._max_fields)
        if head is None or head.authorization is None:
            return head
        return replace(head, authorization=self._seal(head.authorization))

    def keep(self, data: bytes, head: Head) -> None:
        """Remember a head; one that would take more than a sixteenth of the budget is not."""
        if head.authorization is not None:
            data = self._seal(data)
        cost = _cost(data, head)
        if cost > self.budget // 16 or data in self.known:
            return
        self.known[data] = head
        self.used += cost
        while self.used > self.budget:
            oldest = next(iter(self.known))
            self.used -= _cost(oldest, self.known.pop(oldest))


def _cost(data: bytes, head: Head) -> int:
    size = sys.getsizeof
    # Tags and their set are at most some times the bytes that they were written in.
    tags = 0 if head.tags is None else size(head.tags) + sum(map(size, head.tags))
    return _SLOT + sum(map(size, (data, head.target, head.authorization, head.agent))) + tags
