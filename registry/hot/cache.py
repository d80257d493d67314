"""Answers in memory: bounded by bytes, the least recently used goes first, one cache a process.

An entry is an answer to GET that the slow path has given, for one target and one audience: who may
see it was decided there. It is true only while its witness is: the object `key` begins with `content`.
That is asked at every request, so nothing here is ever the truth, and any number of processes over
one store agree.
"""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from registry.hot.conditional import not_modified_headers, opaque
from storage.driver import Witness

LARGEST = 8 << 20
"""The largest body that is taken, by default."""

EVERYBODY = "everybody"
"""The audience of what may be seen without a login; what is for it is for all others, too."""

_HEADS_SHARE = 16
_HEADS_MOST = 4 << 20
_SLOT = 648  # an Entry, its key and its place in the tables; held by a test
_WITNESS = 96  # a Witness and its place in a tuple
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# An answer that depends on more than target and audience, or that is framed otherwise than by its length.
_REFUSED = frozenset({b"connection", b"set-cookie", b"trailer", b"transfer-encoding", b"upgrade", b"vary"})

Place = tuple[bytes, Hashable]
"""Where an entry is found: target and audience."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An answer: its rendered header lines for 200 and for 304 (without the status line), and its body.

    `pulled` is what who gets it has pulled (`registry.hot.pulled`), "" for nothing.
    """

    place: Place
    witness_key: str
    witness_content: bytes
    beside: tuple[Witness, ...]
    headers: bytes
    not_modified: bytes
    etag: bytes | None
    body: bytes
    pulled: str = ""

    @property
    def witness(self) -> Witness:
        """What makes it true."""
        return Witness(self.witness_key, self.witness_content, self.beside)

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """The header lines as they were offered, names in lower case."""
        lines = (line.partition(b": ") for line in self.headers.split(b"\r\n") if line)
        return [(name, value) for name, _, value in lines]


class HotCache:
    """Answers by target and audience within `budget_bytes`; bodies over `largest` bytes are not taken.

    `hits`, `misses`, `stale` and `sent` (bytes of bodies) only grow; `used` is what the entries take.
    `heads_budget` is the part of the budget that is left to the memo of request heads.
    """

    def __init__(self, budget_bytes: int, largest: int = LARGEST) -> None:
        self.heads_budget = min(budget_bytes // _HEADS_SHARE, _HEADS_MOST)
        self.budget = budget_bytes - self.heads_budget
        self.largest = largest
        self.used = 0
        self.hits = 0
        self.misses = 0
        self.stale = 0
        self.sent = 0
        self._entries: OrderedDict[Place, Entry] = OrderedDict()
        self._bodies = _Bodies()

    def __len__(self) -> int:
        return len(self._entries)

    def holds(self, size: int) -> bool:
        """Whether a body of so many bytes may be taken."""
        return size <= min(self.largest, self.budget)

    def offer(
        self,
        target: bytes,
        audience: Hashable,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        witness: Witness,
        pulled: str = "",
    ) -> bool:
        """Take the answer 200 to `GET target` for `audience`; whether it was taken.

        `target` is the path as it was asked, without a query. The answer may depend on nothing else
        than target and audience, and `witness.content` is what was read to make it. One without its
        Content-Length, with a `Vary` or a cookie, or too large for the budget is not taken.
        """
        lines = _render(headers)
        plain = {name.lower(): value for name, value in headers}
        if (
            lines is None
            or plain.get(b"content-length") != b"%d" % len(body)
            or not _REFUSED.isdisjoint(plain)
        ):
            return False
        etag = plain.get(b"etag")
        entry = Entry(
            place=(target, audience),
            witness_key=witness.key,
            witness_content=witness.content,
            beside=witness.beside,
            headers=lines,
            not_modified=_render(not_modified_headers(headers)) or b"",
            etag=None if etag is None else opaque(etag),
            body=self._bodies.same(body),
            pulled=pulled,
        )
        if len(body) > self.largest or _cost(entry) + sys.getsizeof(body) > self.budget:
            return False
        self.drop(entry.place)
        self._entries[entry.place] = entry
        self.used += _cost(entry) + self._bodies.take(entry.body)
        while self.used > self.budget:
            self.drop(next(iter(self._entries)))
        return True

    def find(self, place: Place) -> Entry | None:
        """The entry at `place`, which is now the most recently used; its witness is the caller's to ask."""
        entry = self._entries.get(place)
        if entry is not None:
            self._entries.move_to_end(place)
        return entry

    def drop(self, place: Place) -> None:
        """Forget what is at `place`, if anything is."""
        entry = self._entries.pop(place, None)
        if entry is not None:
            self.used -= _cost(entry) + self._bodies.leave(entry.body)


class _Bodies:
    """Bodies by content, each held once however many entries have it (a tag's and a digest's)."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, bytes, bytes], tuple[bytes, int]] = {}

    def same(self, body: bytes) -> bytes:
        """The object held that equals `body`, else `body`."""
        held = self._held.get(_print(body))
        return held[0] if held is not None and held[0] == body else body

    def take(self, body: bytes) -> int:
        """Count one more user of `body`; what that adds to the memory in use."""
        held = self._held.get(_print(body))
        if held is None:
            self._held[_print(body)] = (body, 1)
        elif held[0] is body:
            self._held[_print(body)] = (body, held[1] + 1)
            return 0
        # Another body with the same print: it is held by its entry alone.
        return sys.getsizeof(body)

    def leave(self, body: bytes) -> int:
        """Count one user of `body` less; what that takes from the memory in use."""
        held = self._held.get(_print(body))
        if held is not None and held[0] is body:
            if held[1] > 1:
                self._held[_print(body)] = (body, held[1] - 1)
                return 0
            del self._held[_print(body)]
        return sys.getsizeof(body)


def _print(body: bytes) -> tuple[int, bytes, bytes]:
    # Hashing megabytes would hold up the event loop; equality is asked of the few that look alike.
    return len(body), body[:64], body[-64:]


def _cost(entry: Entry) -> int:
    size = sys.getsizeof
    target, audience = entry.place
    parts = (target, audience, entry.witness_key, entry.witness_content, entry.headers, entry.not_modified)
    beside = sum(_WITNESS + size(one.key) + size(one.content) for one in entry.beside)
    pulled = size(entry.pulled) if entry.pulled else 0
    return _SLOT + sum(map(size, parts)) + size(entry.etag) + beside + pulled


def _render(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Header lines and the empty line after them, as uvicorn writes them; None when one cannot be written."""
    lines = []
    for name, value in headers:
        lowered = name.lower()
        if not _NAME.fullmatch(lowered) or not _VALUE.fullmatch(value):
            return None
        lines += [lowered, b": ", value, b"\r\n"]
    return b"".join([*lines, b"\r\n"])
