"""Foresight: a layer is looked into while its bytes come, before the manifest that names it.

Nothing depends on it. What was not foreseen is looked into when the manifest comes, and so is what gave no
plugin: the reason why is told there, by the manifest's own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from registry.consumers.istio import Form, Layer
from registry.publish.inspect import Look, Looked
from registry.publish.inspectors import MOST as MOST_PROCESSES
from storage.digest import Digest, Hasher, hasher

MAX_PACKED = 8 << 20
"""Bytes of a layer that is looked into ahead, at most: as many may be held until they are looked into."""
MAX_MODULE = 64 << 20
"""Bytes that are inflated ahead, at most."""
AT_ONCE = MOST_PROCESSES
"""Layers that are looked into at a time, at most: none waits for its turn, however slowly others come."""
MOST = 64
"""Findings that are kept for a manifest to come, at most."""
SECONDS = 30.0
"""How long they are kept."""

PATIENCE = 1.0
"""Seconds that a manifest waits for what was begun ahead; then it is looked for with more haste."""

_FORMS = ((b"\x1f\x8b", Form.TAR_GZIP), (b"\0asm", Form.RAW))
_LONGEST = 4


@dataclass(frozen=True, slots=True)
class _Kept:
    """A layer that is looked into, or was; `expiry` is when it is given up."""

    form: Form
    looking: asyncio.Task[Looked]
    expiry: asyncio.TimerHandle


class Foresight:
    """Layers that `look` looks into ahead."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._kept: dict[Digest, _Kept] = {}
        self._under_way = 0

    async def watching(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The source as it is. What may be a layer is looked into meanwhile."""
        head = b""
        feed: _Feed | None = None
        try:
            async for piece in source:
                if feed:
                    feed.add(piece)
                elif len(head) < _LONGEST:
                    head += piece
                    feed = self._begun(head)
                yield piece
            if feed and (looking := feed.end()):
                self._keep(feed.digest, feed.form, looking)
                feed = None
        finally:
            if feed:
                feed.give_up()

    async def looked(self, layer: Layer) -> Looked | None:
        """What was found in a layer, once: None where that has to be looked for now."""
        kept = self._kept.pop(layer.descriptor.digest, None)
        if kept is None:
            return None
        kept.expiry.cancel()
        try:
            if kept.form is layer.form:
                await asyncio.wait((kept.looking,), timeout=PATIENCE)
        finally:
            kept.looking.cancel()  # nothing, where it has ended
        if kept.form is not layer.form or not kept.looking.done() or kept.looking.cancelled():
            return None
        found = None if kept.looking.exception() else kept.looking.result()
        # What is too large for us may be small enough for the agents.
        return found if found and found.facts and not found.oversized else None

    def _begun(self, head: bytes) -> _Feed | None:
        form = next((form for sign, form in _FORMS if head.startswith(sign)), None)
        if form is None or self._under_way >= AT_ONCE:
            return None
        feed = _Feed(form, self._look)
        self._under_way += 1
        feed.looking.add_done_callback(self._ended)
        feed.add(head)
        return feed

    def _ended(self, looking: asyncio.Task[Looked]) -> None:
        self._under_way -= 1
        if not looking.cancelled():
            looking.exception()  # whatever it is, the manifest meets it again

    def _keep(self, digest: Digest, form: Form, looking: asyncio.Task[Looked]) -> None:
        self._drop(digest)
        if len(self._kept) >= MOST:
            self._drop(next(iter(self._kept)))
        expiry = asyncio.get_running_loop().call_later(SECONDS, self._drop, digest)
        self._kept[digest] = _Kept(form, looking, expiry)

    def _drop(self, digest: Digest) -> None:
        if kept := self._kept.pop(digest, None):
            kept.expiry.cancel()
            kept.looking.cancel()


class _Feed:
    """The pieces of a layer on their way to who looks into it."""

    def __init__(self, form: Form, look: Look) -> None:
        self.form = form
        self._hasher: Hasher = hasher("sha256")
        self._size = 0
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self.looking = asyncio.create_task(_looking(look, form, self._pieces()))

    @property
    def digest(self) -> Digest:
        """The digest of what has come."""
        return Digest("sha256", self._hasher.hexdigest())

    def add(self, piece: bytes) -> None:
        """Take a piece; too many of them end it."""
        self._size += len(piece)
        if self._size > MAX_PACKED:
            self.give_up()
        elif piece and not self.looking.done():
            self._hasher.update(piece)
            self._waiting.put_nowait(piece)

    def end(self) -> asyncio.Task[Looked] | None:
        """All has come: what is found, unless it was given up or has ended before."""
        if self._size > MAX_PACKED or self.looking.done():
            return None
        self._waiting.put_nowait(b"")
        return self.looking

    def give_up(self) -> None:
        """Nobody needs it any more."""
        self.looking.cancel()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self._waiting.get():
            yield piece


async def _looking(look: Look, form: Form, pieces: AsyncIterator[bytes]) -> Looked:
    return await look(form, pieces, limit=MAX_MODULE)
