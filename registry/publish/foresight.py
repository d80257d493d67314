"""Foresight: a layer is looked into as soon as its bytes are here, while the rest of its image still comes.

Nothing depends on it. What was not foreseen is looked into when the manifest comes, and so is what gave no
plugin: the reason why is told there, by the manifest's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from registry.consumers.archive import Extracted, unpack
from registry.consumers.istio import Form, Layer
from registry.publish.inspect import Looked, judged
from storage.digest import Digest
from storage.manifest import Descriptor

MAX_PACKED = 8 << 20
"""Bytes of a layer that is looked into ahead, at most."""
MAX_HELD = 32 << 20
"""Bytes of all layers that are held in memory until they are looked into, at most."""
MAX_MODULE = 64 << 20
"""Bytes that are unpacked ahead, at most."""
MOST = 4
"""Layers that are looked into or kept for a manifest to come, at most."""
SECONDS = 30.0
"""How long a layer is kept for its manifest."""

_FORMS = ((b"\x1f\x8b", Form.TAR_GZIP), (b"\0asm", Form.RAW))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A layer that is looked into, or was; `expiry` is when it is given up."""

    looking: asyncio.Task[Looked | None]
    expiry: asyncio.TimerHandle


class Foresight:
    """Layers that were looked into ahead, one at a time. `spool` opens a temporary file."""

    def __init__(self, spool: Callable[[], BinaryIO]) -> None:
        self._spool = spool
        # A thread of its own: whoever floods it with layers keeps nobody else waiting.
        self._thread = ThreadPoolExecutor(1, "foresight")
        self._layers: dict[Digest, _Kept] = {}
        self._under_way = 0
        self._held = 0

    async def watching(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The source as it is. When all of it has passed, a layer that it may be is looked into."""
        held: bytearray | None = bytearray()
        try:
            async for piece in source:
                if held is not None:
                    held += piece
                    self._held += len(piece)
                    if self._held > MAX_HELD or len(held) > MAX_PACKED or _form(held) is None:
                        self._held -= len(held)
                        held = None
                yield piece
            if held:
                data = bytes(held)
                self._begin(await asyncio.to_thread(Digest.of, data), data)
        finally:
            self._held -= len(held or b"")

    async def looked(self, layer: Layer) -> Looked | None:
        """What was found in a layer, once: None where that has to be looked for now."""
        kept = self._layers.pop(layer.descriptor.digest, None)
        if kept is None:
            return None
        kept.expiry.cancel()
        try:
            found = await asyncio.shield(kept.looking)
        except asyncio.CancelledError:
            kept.looking.add_done_callback(_close)
            raise
        if found and found.form is not layer.form:
            found.module.close()
            return None
        return found

    def _begin(self, digest: Digest, data: bytes) -> None:
        if self._under_way >= MOST or digest in self._layers:
            return
        if len(self._layers) >= MOST:
            self._drop(next(iter(self._layers)))
        loop = asyncio.get_running_loop()
        self._under_way += 1
        looking = loop.create_task(self._looking(digest, data))
        self._layers[digest] = _Kept(looking, loop.call_later(SECONDS, self._drop, digest))

    async def _looking(self, digest: Digest, data: bytes) -> Looked | None:
        try:
            return await self._look_in_thread(digest, data)
        finally:
            self._under_way -= 1

    async def _look_in_thread(self, digest: Digest, data: bytes) -> Looked | None:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, digest, data)

    def _look(self, digest: Digest, data: bytes) -> Looked | None:
        form = _form(data)
        if form is None:
            return None
        layer = Layer(Descriptor("", digest, len(data)), form)
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            module = opened.enter_context(self._spool())
            taken = unpack(layer, io.BytesIO(data), module, MAX_MODULE)
            if isinstance(taken.found, Extracted) and taken.oversized is None:
                findings = judged(taken.found, module)
                opened.pop_all()
                return Looked(form, findings, module)
        return None

    def _drop(self, digest: Digest) -> None:
        if kept := self._layers.pop(digest, None):
            kept.expiry.cancel()
            kept.looking.add_done_callback(_close)


def _form(head: bytes | bytearray) -> Form | None:
    """The form that a layer has by its first bytes; while they are fewer than a sign, any that fits."""
    return next((form for sign, form in _FORMS if head.startswith(sign[: len(head)])), None)


def _close(task: asyncio.Task[Looked | None]) -> None:
    if not task.cancelled() and (found := task.result()):
        found.module.close()
