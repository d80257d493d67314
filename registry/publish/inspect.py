"""Inspecting: what each consumer would make of an image, its parts read from wherever they are.

The parts are taken in the order in which istio-agent takes them (pkg/wasm/imagefetcher.go): index,
child, layer, plugin.wasm, module. What is decided at each step is decided by pure functions of
`registry.consumers` and `registry.wasm`.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from registry.consumers import archive, istio
from registry.verdict import Problem, Verdict
from registry.wasm.judge import judge
from registry.wasm.module import Module, NotAModule, read
from storage import manifest as manifests
from storage.manifest import Descriptor, Manifest

RULES = 2
"""The version of what is decided here: findings of another version are made anew."""

CONSUMERS = ("istio", "envoy", "envoy-gateway")
"""Whose verdicts there are."""

MAX_NESTED = 4
"""How many indexes deep an image may lie."""

_NESTED = Problem(
    "nested-index",
    f"the image lies more than {MAX_NESTED - 1} indexes deep.",
    "Push an index whose linux/amd64 child is an image.",
)


class Source(Protocol):
    """Where the parts of an image are read from."""

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest that an index names."""

    def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The bytes of a layer, in pieces."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found: a verdict a consumer, the module, the layer it came from, the image judged."""

    verdicts: tuple[Verdict, ...]
    module: Module | None = None
    layer: Descriptor | None = None
    image: Descriptor | None = None

    @property
    def ok(self) -> bool:
        """Whether it loads everywhere."""
        return all(verdict.ok for verdict in self.verdicts)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem once, in the order in which the consumers met them."""
        return tuple(dict.fromkeys(problem for verdict in self.verdicts for problem in verdict.problems))


# What the agent inflates at most takes no more than this when it is packed.
_ENOUGH = archive.LIMIT + (4 << 20)


async def inspect(
    manifest: Manifest, source: Source, into: BinaryIO, spool: Callable[[], BinaryIO]
) -> Findings:
    """Take an image or an index apart and judge it.

    The module is written to `into`, a real file; `spool` opens another one for the packed layer.
    Raises what the source raises when a part cannot be read.
    """
    image: Descriptor | None = None
    for _ in range(MAX_NESTED):
        if not manifest.is_index:
            break
        child = istio.child(manifest)
        if isinstance(child, Problem):
            return _refused(child)
        image = child
        manifest = manifests.parse(await source.manifest(child), child.media_type)
    else:
        return _refused(_NESTED)
    layer = istio.layer(manifest)
    if isinstance(layer, Problem):
        return _refused(layer, image=image)
    found = await _inspect_layer(layer, source, into, spool)
    if found.module is None and layer.otherwise:
        second = await _inspect_layer(layer.otherwise, source, into, spool)
        found = second if second.module else found
    return replace(found, image=image)


def inspect_module(data: bytes | memoryview | mmap.mmap, sha256: str | None = None) -> Findings:
    """Judge a bare module, as Envoy meets it; `sha256` (hexadecimal) is computed when it is not given."""
    try:
        module = read(data, sha256)
    except NotAModule as refusal:
        return _refused(refusal.problem)
    problems = judge(module, data)
    return Findings(tuple(Verdict(consumer, problems) for consumer in CONSUMERS), module)


async def _inspect_layer(
    layer: istio.Layer, source: Source, into: BinaryIO, spool: Callable[[], BinaryIO]
) -> Findings:
    with spool() as packed:
        async for piece in source.blob(layer.descriptor):
            await asyncio.to_thread(packed.write, piece)
            if packed.tell() > _ENOUGH:
                break
        return await asyncio.to_thread(_unpack_and_judge, layer, packed, into)


def _unpack_and_judge(layer: istio.Layer, packed: BinaryIO, into: BinaryIO) -> Findings:
    for file in (packed, into):
        file.seek(0)
    into.truncate()
    found = archive.unpack(layer, packed, into)
    if isinstance(found, Problem):
        return _refused(found)
    into.flush()
    with mmap.mmap(into.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return replace(inspect_module(data, found.sha256), layer=layer.descriptor)


def _refused(problem: Problem, *, image: Descriptor | None = None) -> Findings:
    # Envoy by URL gets the module that was taken out of the image: without one it gets none.
    return Findings(tuple(Verdict(consumer, (problem,)) for consumer in CONSUMERS), image=image)
