"""Inspecting: what each consumer would make of an image, its parts read from wherever they are.

The parts are taken in the order in which the agents take them (imagefetcher.go of Istio and of Envoy
Gateway): index, child, layer, plugin.wasm, module. What is decided at each step is decided by pure
functions of `registry.consumers`, one module a consumer, and of `registry.wasm`. Both agents choose the
same layer, so it is looked into once, by whoever does that here (`Look`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from registry.consumers import istio
from registry.verdict import Problem, Verdict
from registry.wasm.facts import Facts
from storage import manifest as manifests
from storage.manifest import Descriptor, Manifest

RULES = 5
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


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found: a verdict a consumer, the module's facts, the layer it came from, the image judged.

    `layers` are those of the image, whichever holds the module. `image` is the manifest that an index
    was resolved to, None where it was no index: its digest is the one that agents compare. All of them
    resolve alike, so there is one.
    """

    verdicts: tuple[Verdict, ...]
    facts: Facts | None = None
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
    """What a layer gave: a verdict a consumer, and the facts of the module where there is one.

    `extracted`, `settled` and `oversized` are what `registry.consumers.archive` says of the layer.
    """

    verdicts: tuple[Verdict, ...]
    facts: Facts | None = None
    extracted: bool = False
    settled: bool = False
    oversized: tuple[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON document."""
        return {
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "facts": self.facts.to_json() if self.facts else None,
            "extracted": self.extracted,
            "settled": self.settled,
            "oversized": self.oversized,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Looked:
        """What `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
        oversized = said["oversized"]
        return cls(
            tuple(map(Verdict.from_json, said["verdicts"])),
            Facts.from_json(said["facts"]) if said["facts"] is not None else None,
            bool(said["extracted"]),
            bool(said["settled"]),
            (str(oversized[0]), int(oversized[1])) if oversized is not None else None,
        )


class Look(Protocol):
    """Looks into a layer."""

    async def __call__(
        self, form: istio.Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = istio.LIMIT
    ) -> Looked:
        """What is in a layer of this form, the last of so many, of which at most `limit` bytes are inflated.

        Raises CheckFailed, StoreError, and what the pieces raise when they cannot be read.
        """


class Source(Protocol):
    """Where the parts of an image are read from."""

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest that an index names."""

    def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The bytes of a layer, in pieces."""


class Foreseen(Protocol):
    """Knows what was found in some layers already."""

    async def __call__(self, layer: istio.Layer) -> Looked | None:
        """What was found in this one, if anything was."""


async def nothing_foreseen(layer: istio.Layer) -> Looked | None:
    """Knows no layer."""
    del layer
    return None


async def inspect(
    manifest: Manifest, source: Source, look: Look, foreseen: Foreseen = nothing_foreseen
) -> Findings:
    """Take an image or an index apart and judge it.

    Raises what the source raises when a part cannot be read, and what `look` raises.
    """
    image: Descriptor | None = None
    for _ in range(MAX_NESTED):
        if not manifest.is_index:
            break
        child = istio.child(manifest)
        if isinstance(child, Problem):
            return Findings(refused(child))
        image = child
        manifest = manifests.parse(await source.manifest(child), child.media_type)
    else:
        return Findings(refused(_NESTED))
    layer = istio.layer(manifest)
    if isinstance(layer, Problem):
        return Findings(refused(layer), image=image, layers=manifest.layers)
    looked = await foreseen(layer) or await _looked(layer, source, look)
    verdicts, oversized = looked.verdicts, looked.oversized
    if layer.otherwise and not looked.extracted and not looked.settled:
        second = await _looked(layer.otherwise, source, look)
        if second.extracted:
            looked, layer, verdicts = second, layer.otherwise, second.verdicts
    if oversized:
        verdicts = tuple(_crashed(verdict, oversized) for verdict in verdicts)
    found_in = layer.descriptor if looked.facts else None
    return Findings(verdicts, looked.facts, found_in, image, manifest.layers)


def refused(problem: Problem) -> tuple[Verdict, ...]:
    """The verdicts where there is no module: Envoy by URL gets the one that was taken out of the image."""
    return tuple(Verdict(consumer, (problem,)) for consumer in CONSUMERS)


async def _looked(layer: istio.Layer, source: Source, look: Look) -> Looked:
    return await look(layer.form, source.blob(layer.descriptor), of=layer.of)


def _crashed(verdict: Verdict, oversized: tuple[str, int]) -> Verdict:
    """istio-agent has no verdict on what comes after an entry that it does not survive."""
    if verdict.consumer != "istio":
        return verdict
    return replace(verdict, problems=(istio.oversized(*oversized),))
