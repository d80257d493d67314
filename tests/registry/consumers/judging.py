"""A shape taken apart as the agents would, from the manifest to the plugin."""

from __future__ import annotations

import io

from registry.consumers import istio
from registry.consumers.archive import Extracted, Unpacked, unpack
from registry.consumers.istio import Layer, child, layer
from registry.verdict import Problem
from storage.errors import ManifestInvalid
from storage.manifest import parse
from tests.registry.consumers.build import SAME, Shape
from tests.registry.consumers.lies import INVALID


def judged(shape: Shape, consumer: str = "istio") -> tuple[bytes, Extracted] | Problem:
    """The plugin of a shape as a consumer takes it, or the problem with it."""
    try:
        manifest = parse(shape.body, shape.media_type)
    except ManifestInvalid as error:
        return Problem(INVALID, error.message, error.fix or "-")
    if manifest.is_index:
        chosen = child(manifest)
        if isinstance(chosen, Problem):
            return chosen
        inner = next(inner for inner in shape.children if inner.digest == str(chosen.digest))
        try:
            parse(inner.body, chosen.media_type)
        except ManifestInvalid as error:
            return Problem(INVALID, error.message, error.fix or "-")
        return judged(inner, consumer)
    found = layer(manifest)
    return found if isinstance(found, Problem) else _taken(shape, found, consumer)


def code_for(shape: Shape, consumer: str) -> str | None:
    """The code of the problem that a consumer has with a shape."""
    return shape.code if consumer == "istio" or shape.gateway == SAME else shape.gateway


def _taken(shape: Shape, found: Layer, consumer: str) -> tuple[bytes, Extracted] | Problem:
    taken, content = _unpacked(shape, found)
    oversized = taken.oversized
    if isinstance(taken.found, Problem) and found.otherwise and not taken.settled:
        other, otherwise = _unpacked(shape, found.otherwise)
        taken, content = (other, otherwise) if isinstance(other.found, Extracted) else (taken, content)
    if oversized and consumer == "istio":
        return istio.oversized(*oversized)
    return taken.found if isinstance(taken.found, Problem) else (content, taken.found)


def _unpacked(shape: Shape, found: Layer) -> tuple[Unpacked, bytes]:
    into = io.BytesIO()
    content = io.BytesIO(shape.blobs[str(found.descriptor.digest)])
    return unpack(found.form, content, into, of=found.of), into.getvalue()
