"""Foresight: a layer is looked into as soon as its bytes are here, while the rest of its image still comes.

Nothing depends on it. What was not foreseen is looked into when the manifest comes, and so is what gave no
plugin: the reason why is told there, by the manifest's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from registry.consumers.archive import Extracted, unpack
from registry.consumers.istio import Form, Layer
from registry.publish.inspect import Looked, judged
from storage.digest import Digest
from storage.manifest import Descriptor

MAX_PACKED = 8 << 20
"""Bytes of a layer that is looked into ahead, at most: they are held in memory meanwhile."""
MAX_MODULE = 64 << 20
"""Bytes that are unpacked ahead, at most."""
MOST = 4
"""Layers that are kept for a manifest to come; the oldest goes when there is one more."""
SECONDS = 30.0
"""How long a layer is kept for its manifest."""

_FORMS = ((b"\x1f\x8b", Form.TAR_GZIP), (b"\0asm", Form.RAW))


class Foresight:
    """Layers that were looked into ahead. `spool` opens a temporary file."""

    def __init__(self, spool: Callable[[], BinaryIO]) -> None:
        self._spool = spool
        self._layers: OrderedDict[Digest, asyncio.Task[Looked | None]] = OrderedDict()

    async def watching(self, digest: Digest, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The source as it is. When all of it has passed, a layer that it may be is looked into."""
        held: bytearray | None = bytearray() if digest.algorithm == "sha256" else None
        async for piece in source:
            if held is not None:
                held += piece
                if len(held) > MAX_PACKED or _form(held) is None:
                    held = None
            yield piece
        if held:
            self._begin(digest, bytes(held))

    async def looked(self, layer: Layer) -> Looked | None:
        """What was found in a layer, once: None where that has to be looked for now."""
        task = self._layers.pop(layer.descriptor.digest, None)
        if task is None:
            return None
        try:
            found = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_close)
            raise
        if found and found.form is not layer.form:
            found.module.close()
            return None
        return found

    def _begin(self, digest: Digest, data: bytes) -> None:
        self._drop(digest)
        while len(self._layers) >= MOST:
            self._drop(next(iter(self._layers)))
        task = asyncio.create_task(asyncio.to_thread(self._look, digest, data))
        self._layers[digest] = task
        asyncio.get_running_loop().call_later(SECONDS, self._expire, digest, task)

    def _look(self, digest: Digest, data: bytes) -> Looked | None:
        # What was announced may not be what came: this is held against its digest here, too.
        form = _form(data)
        if form is None or hashlib.sha256(data).hexdigest() != digest.hex:
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

    def _expire(self, digest: Digest, task: asyncio.Task[Looked | None]) -> None:
        if self._layers.get(digest) is task:
            self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        if task := self._layers.pop(digest, None):
            task.add_done_callback(_close)


def _form(head: bytes | bytearray) -> Form | None:
    """The form that a layer has by its first bytes; while they are fewer than a sign, any that fits."""
    return next((form for sign, form in _FORMS if head.startswith(sign[: len(head)])), None)


def _close(task: asyncio.Task[Looked | None]) -> None:
    if not task.cancelled() and (found := task.result()):
        found.module.close()
