"""The objects floor: what a place for keys and bytes promises (`Driver`).

Every implementation runs the one suite in `tests/storage/driver_contract.py`.

Keys are relative paths of `/`-separated segments; none is empty, `.` or `..`. No key is a folder of
another. Promises:

- What is published is whole: a reader sees an object as it was before a write or as it is after
  it, never a part, also after a crash. When a write has returned, it survives a power cut.
- Writes are idempotent: the same write twice is the write once.
- Listings are in byte order of the names, whatever the store's own order.
- A staged object is seen by nobody until it is published; what `extend` has acknowledged survives
  the process, and any other process over the same store may go on with it. A power cut may take of it
  what was not published.
- Over a network a step may be seen a moment late: of two writers that began at a staged object at the
  same time, one may be refused only at its end; where a move or a publication is refused because somebody
  was faster, a whole copy may stay under the target.
- Failures are `StoreFull`, `StoreUnavailable`, or one of the conditions below. Nothing else leaves
  a driver, apart from what a `source` raises: then nothing was published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Protocol

CHUNK = 1 << 20
"""How many bytes are moved at a time, at most."""

PEEKED = 4 << 10
"""How much of an object a peek shows, in bytes: more than any record has."""


async def nothing() -> None:
    """What there is to do where nothing is."""


class ObjectMissing(Exception):
    """There is no object under this key."""


class ObjectExists(Exception):
    """Create-if-absent found an object under the key."""


class ObjectChanged(Exception):
    """Replace-if-match found the object in another state than was expected."""


class StageBusy(Exception):
    """Another request is writing to this staged object now."""


class StageMoved(Exception):
    """A staged object does not end where the caller wants to go on; `size` is where it ends."""

    def __init__(self, size: int) -> None:
        super().__init__(f"staged up to {size}")
        self.size = size


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of an object without reading it: `size` in bytes, `modified` in Unix seconds."""

    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as `walk` meets it: `size` in bytes, `modified` in Unix seconds."""

    key: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing: `names` in byte order; `more` when others follow them."""

    names: tuple[str, ...]
    more: bool


class Driver(Protocol):
    """Keys and bytes, asynchronously.

    `remote`: each call is a journey, whose milliseconds and price are worth sparing, to a store that itself
    sees to it that what was published stays whole.
    """

    @property
    def remote(self) -> bool:
        """See above."""

    async def get(self, key: str) -> bytes:
        """A small object, whole; raises ObjectMissing."""

    async def stat(self, key: str) -> Stat:
        """Size and time of an object; raises ObjectMissing."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes `start` to `end` (exclusive; None: all) in pieces of at most CHUNK.

        Raises ObjectMissing at the first step. The store is left as soon as the reader is closed.
        """

    async def put(self, key: str, data: bytes) -> None:
        """Create or replace a small object."""

    async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
        """Create or replace small objects by key, step by step: none is there before all of the step before.

        Where it fails, what came before stays.
        """

    async def create(self, key: str, data: bytes) -> None:
        """Create a small object; raises ObjectExists when the key is taken, exactly one of many wins."""

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """Replace a small object that holds `expected`; raises ObjectChanged (also when it is missing)."""

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """Create or replace an object of any size out of a stream and return its size."""

    async def delete(self, key: str, *, expected: bytes | None = None) -> bool:
        """Remove an object; whether there was one.

        With `expected` it is removed while it holds that; raises ObjectChanged when it holds something else.
        """

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """Give an object another key, where it counts as written now; whether there was one.

        With `before` (Unix seconds, the store's clock) only one that was last written before that time is
        moved; raises ObjectChanged for another one.
        """

    def walk(self, prefix: str) -> AsyncIterator[Entry]:
        """Every object below the folder `prefix`, in no order, however many.

        One that comes or goes meanwhile is met or not; every other one is met once.
        """

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """The names right under `prefix` ("": the root), objects and folders, that sort after `after`."""

    async def stage(self, key: str) -> None:
        """Begin an empty staged object under a key that none ever had.

        As long as it is empty it need not survive a power cut. Where it has bytes, and until it is published
        or discarded, `children` lists its key and `stat` tells when it was last added to.

        A `remote` store takes a key that it does not know for an empty staged object. Of one that was
        published or discarded it keeps the key, as an object of no bytes, until `delete` removes it. Others
        raise ObjectExists for a key that is taken, and below ObjectMissing for one that was not begun.
        """

    async def staged(self, key: str) -> int:
        """How many bytes of a staged object are safe; raises ObjectMissing, also when it has ended."""

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """Go on with a staged object at `offset` (None: where it ends) and return where it ends then.

        Raises ObjectMissing, StageMoved when it does not end at `offset`, StageBusy when another writer is at
        it. When the source fails, what had come before stays and counts.
        """

    def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of a staged object so far, in pieces of at most CHUNK; raises ObjectMissing."""

    async def publish(
        self, key: str, target: str | None, size: int, *, then: Callable[[], Awaitable[object]] = nothing
    ) -> None:
        """Make a staged object of `size` bytes the object `target` at once, created or replaced.

        Without a target it is only removed. Nothing can be added to it from then on. `then` is done when the
        target is there; what is left of the staged object may go at the same time. Raises ObjectMissing,
        StageMoved when it has another size, StageBusy when a writer is at it.
        """

    async def discard(self, key: str) -> bool:
        """End a staged object and let go of what it holds; whether there was one.

        It may come back by a power cut.
        """

    async def sweep(self, before: float) -> None:
        """Remove what writers that died before that time (Unix seconds) left behind."""


class Peek(Protocol):
    """What the hot path asks of a driver, or of a cache in front of one."""

    def peek(self, key: str) -> bytes | None:
        """The first PEEKED bytes of an object as it is now; None where none is to be had without waiting.

        Synchronous, for the event loop: some microseconds at most.
        """


class Opens(Protocol):
    """What a store can whose objects are files of this machine: only the disk."""

    async def handle(self, key: str) -> FileIO:
        """An object, open to be read: it stays as it is, whatever becomes of the key. Close it.

        Raises ObjectMissing, StoreUnavailable.
        """


class Locates(Protocol):
    """What a store can that others may read by themselves: only S3."""

    async def locate(self, key: str) -> str:
        """A URL by which whoever has it may GET this object, and nothing else, for some minutes from now.

        The store is not asked, not even whether the object is there. Raises StoreUnavailable where the
        credentials that sign it cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Witness:
    """Something remembered is still true while the object `key` begins with `content`, and so those `beside`.

    `content` is a record (`storage.records`): no other begins with it.
    """

    key: str
    content: bytes
    beside: tuple[Witness, ...] = ()

    def holds(self, peek: Peek) -> bool:
        """Whether it is true now."""
        is_there = (peek.peek(self.key) or b"").startswith(self.content)
        return is_there and all(one.holds(peek) for one in self.beside)
