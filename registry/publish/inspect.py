"""Inspecting: what each consumer would make of an image, its parts read from wherever they are.

The parts are taken in the order in which the agents take them (imagefetcher.go of Istio and of Envoy
Gateway): index, child, layer, plugin.wasm, module. What is decided at each step is decided by pure
functions of `registry.consumers`, one module a consumer, and of `registry.wasm`. Both agents choose the
same layer, so it is read once.
"""

from __future__ import annotations

import asyncio
import mmap
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from registry.consumers import archive, envoy, envoy_gateway, istio
from registry.consumers.archive import Extracted, Unpacked
from registry.verdict import Problem, Verdict
from registry.wasm.judge import judge
from registry.wasm.module import Module, NotAModule, read
from storage import manifest as manifests
from storage.manifest import Descriptor, Manifest

RULES = 5
"""The version of what is decided here: findings of another version are made anew."""

CONSUMERS = ("istio", "envoy", "envoy-gateway")
"""Whose verdicts there are."""

_TOO_LARGE: Mapping[str, Callable[[int], Problem | None]] = {
    "istio": istio.too_large,
    "envoy": envoy.too_large,
    "envoy-gateway": envoy_gateway.too_large,
}

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
    """What was found: a verdict a consumer, the module, the layer it came from, the image judged.

    `layers` are those of the image, whichever holds the module. `image` is the manifest that an index
    was resolved to, None where it was no index: its digest is the one that agents compare. All of them
    resolve alike, so there is one.
    """

    verdicts: tuple[Verdict, ...]
    module: Module | None = None
    layer: Descriptor | None = None
    image: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it loads everywhere."""
        return all(verdict.ok for verdict in self.verdicts)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem once, in the order in which the consumers met them."""
        return tuple(dict.fromkeys(problem for verdict in self.verdicts for problem in verdict.problems))


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in a layer of this form before its manifest came: a module, which is in the file."""

    form: istio.Form
    findings: Findings
    module: BinaryIO


Foreseen = Callable[[istio.Layer], Awaitable[Looked | None]]
"""Gives what was found in a layer already, if anything was."""


# What the agent inflates at most takes no more than this when it is packed.
_ENOUGH = istio.LIMIT + (4 << 20)


async def inspect(
    manifest: Manifest,
    source: Source,
    into: BinaryIO,
    spool: Callable[[], BinaryIO],
    foreseen: Foreseen | None = None,
) -> Findings:
    """Take an image or an index apart and judge it.

    The module is written to `into`, a real file; `spool` opens another one for the packed layer.
    `foreseen` may know a layer already.
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
        return replace(_refused(layer, image=image), layers=manifest.layers)
    if foreseen and (known := await foreseen(layer)):
        with known.module:
            await asyncio.to_thread(_copy, known.module, into)
        return replace(known.findings, layer=layer.descriptor, image=image, layers=manifest.layers)
    taken = await _take(layer, source, into, spool)
    oversized = taken.oversized
    if layer.otherwise and isinstance(taken.found, Problem) and not taken.settled:
        second = await _take(layer.otherwise, source, into, spool)
        if isinstance(second.found, Extracted):
            taken, layer = second, layer.otherwise
    found = await asyncio.to_thread(judged, taken.found, into)
    if oversized:
        found = replace(found, verdicts=tuple(_crashed(verdict, oversized) for verdict in found.verdicts))
    return replace(
        found, layer=layer.descriptor if found.module else None, image=image, layers=manifest.layers
    )


def inspect_module(data: bytes | memoryview | mmap.mmap, sha256: str | None = None) -> Findings:
    """Judge a bare module, as Envoy meets it; `sha256` (hexadecimal) is computed when it is not given.

    Consumers differ only in how large a module they take.
    """
    try:
        module = read(data, sha256)
    except NotAModule as refusal:
        return _refused(refusal.problem)
    problems = judge(module, data)
    return Findings(
        tuple(
            Verdict(consumer, (*_some(_TOO_LARGE[consumer](module.size)), *problems))
            for consumer in CONSUMERS
        ),
        module,
    )


async def _take(
    layer: istio.Layer, source: Source, into: BinaryIO, spool: Callable[[], BinaryIO]
) -> Unpacked:
    with spool() as packed:
        async for piece in source.blob(layer.descriptor):
            await asyncio.to_thread(packed.write, piece)
            if packed.tell() > _ENOUGH:
                break
        return await asyncio.to_thread(_unpack, layer, packed, into)


def _unpack(layer: istio.Layer, packed: BinaryIO, into: BinaryIO) -> Unpacked:
    for file in (packed, into):
        file.seek(0)
    into.truncate()
    return archive.unpack(layer, packed, into)


def _copy(module: BinaryIO, into: BinaryIO) -> None:
    module.seek(0)
    shutil.copyfileobj(module, into, 1 << 20)


def judged(found: Extracted | Problem, into: BinaryIO) -> Findings:
    """The findings on what a layer gave, its module being in the file `into`."""
    if isinstance(found, Problem):
        return _refused(found)
    into.flush()
    with mmap.mmap(into.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return inspect_module(data, found.sha256)


def _crashed(verdict: Verdict, oversized: tuple[str, int]) -> Verdict:
    """istio-agent has no verdict on what comes after an entry that it does not survive."""
    if verdict.consumer != "istio":
        return verdict
    return replace(verdict, problems=(istio.oversized(*oversized),))


def _some(problem: Problem | None) -> tuple[Problem, ...]:
    return (problem,) if problem else ()


def _refused(problem: Problem, *, image: Descriptor | None = None) -> Findings:
    # Envoy by URL gets the module that was taken out of the image: without one it gets none.
    return Findings(tuple(Verdict(consumer, (problem,)) for consumer in CONSUMERS), image=image)
