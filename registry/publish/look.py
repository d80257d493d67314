"""Looking into a layer: from its bytes to the module in it, and what each consumer makes of that."""

from __future__ import annotations

import mmap
from typing import BinaryIO

from registry.consumers import istio
from registry.consumers.archive import Extracted, Source, unpack
from registry.consumers.istio import Form
from registry.publish.bare import inspect_module
from registry.publish.inspect import Findings, Looked, refused
from registry.verdict import Problem
from registry.wasm.ahead import Ahead

IN_MEMORY = 16 << 20
"""Bytes of a module that is held in memory while it is judged; a larger one is left in its file."""


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
