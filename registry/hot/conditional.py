"""`If-None-Match` and what a 304 carries: RFC 9110, 13.1.2 and 15.4.5.

Both paths use these functions, so that a 304 has the same bytes whichever answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ANY = b"*"
"""The member of a set of tags that stands for whatever there is."""

KEPT = frozenset({b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"})
"""The fields of the 200 that its 304 repeats (RFC 9110, 15.4.5)."""

_MEMBER = re.compile(rb'[ \t,]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|\Z)')
_REST = re.compile(rb"[ \t,]*")


def read_tags(value: bytes, *, strong: bool = False) -> frozenset[bytes] | None:
    """The entity tags of an `If-None-Match` without their `W/`, `{ANY}` for `*`; None when malformed.

    Those of an `If-Match` are `strong`: weak ones match nothing (RFC 9110, 8.8.3.2), and are left out.
    """
    value = value.strip(b" \t")
    if value == ANY:
        return frozenset({ANY})
    tags = set()
    position = 0
    while member := _MEMBER.match(value, position):
        tags.add((member[1], member[2]))
        position = member.end()
    if not tags or not _REST.fullmatch(value, position):
        return None
    return frozenset(tag for weak, tag in tags if not (weak and strong))


def opaque(etag: bytes) -> bytes:
    """An `ETag` without its `W/`: what the weak comparison compares (RFC 9110, 8.8.3.2)."""
    return etag.removeprefix(b"W/")


def matches(tags: frozenset[bytes], etag: bytes | None) -> bool:
    """Whether `tags` (of `read_tags`) name the answer that has this `ETag`: then it is a 304."""
    return ANY in tags or (etag is not None and opaque(etag) in tags)


def not_modified_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of the 304 that stands for a 200 with `headers`, in their order."""
    return [(name, value) for name, value in headers if name.lower() in KEPT]
