"""Looking into a layer: from its bytes to the module in it, and what each consumer makes of that."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from registry.consumers import istio
from registry.consumers.archive import Extracted, Source, unpack
from registry.consumers.istio import Form
from registry.publish.inspect import Findings, Looked, inspect_module, refused
from registry.verdict import Problem
from registry.wasm.ahead import Ahead

IN_MEMORY = 16 << 20
"""Bytes of a module that is held in memory while it is judged; a larger one is left in its file."""

# What the agent inflates at most takes no more than this when it is packed.
_ENOUGH = istio.LIMIT + (4 << 20)


def look(form: Form, source: Source, into: BinaryIO, *, of: int = 1, limit: int = istio.LIMIT) -> Looked:
    """What is in a layer, as `inspect.Look` says; its module is written to `into`.

    That is a real file, or becomes one when it grows over IN_MEMORY.
    """
    ahead = Ahead()
    taken = unpack(form, source, _Tee(into, ahead), limit, of=of)
    found = taken.found
    if isinstance(found, Problem):
        return Looked(refused(found), None, extracted=False, settled=taken.settled, oversized=taken.oversized)
    findings = _judged(into, found, ahead)
    return Looked(findings.verdicts, findings.facts, True, taken.settled, taken.oversized)


class _Tee:
    """Writes a module to its file, and gives it to who looks at it meanwhile."""

    def __init__(self, into: BinaryIO, ahead: Ahead) -> None:
        self._into = into
        self._ahead = ahead

    def write(self, piece: bytes) -> None:
        self._into.write(piece)
        self._ahead.add(piece)


def _judged(module: BinaryIO, found: Extracted, ahead: Ahead) -> Findings:
    if found.size <= IN_MEMORY:
        module.seek(0)
        return inspect_module(module.read(), found.sha256, code_is_valid=ahead.code_is_valid())
    module.flush()
    with mmap.mmap(module.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return inspect_module(data, found.sha256, code_is_valid=ahead.code_is_valid())


class Here:
    """Looks into layers in a thread of this process (an `inspect.Look`).

    The module is written to `into`, a real file; `spool` opens another one for the packed layer.
    """

    def __init__(self, into: BinaryIO, spool: Callable[[], BinaryIO]) -> None:
        self._into = into
        self._spool = spool

    async def __call__(
        self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = istio.LIMIT
    ) -> Looked:
        """See `inspect.Look`."""
        with self._spool() as packed:
            async for piece in pieces:
                await asyncio.to_thread(packed.write, piece)
                if packed.tell() > _ENOUGH:
                    break
            for file in (packed, self._into):
                file.seek(0)
            self._into.truncate()
            return await asyncio.to_thread(look, form, packed, self._into, of=of, limit=limit)
