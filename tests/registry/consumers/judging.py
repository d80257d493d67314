"""A shape taken apart as istio-agent would, from the manifest to the plugin."""

from __future__ import annotations

import io

from registry.consumers.archive import Extracted, unpack
from registry.consumers.istio import Layer, child, layer
from registry.verdict import Problem
from storage.manifest import parse
from tests.registry.consumers.build import Shape


def judged(shape: Shape) -> tuple[bytes, Extracted] | Problem:
    """The plugin of a shape, or the problem with it."""
    manifest = parse(shape.body, shape.media_type)
    if manifest.is_index:
        chosen = child(manifest)
        if isinstance(chosen, Problem):
            return chosen
        return judged(next(inner for inner in shape.children if inner.digest == str(chosen.digest)))
    found = layer(manifest)
    return found if isinstance(found, Problem) else _taken(shape, found)


def _taken(shape: Shape, found: Layer) -> tuple[bytes, Extracted] | Problem:
    into = io.BytesIO()
    taken = unpack(found, io.BytesIO(shape.blobs[str(found.descriptor.digest)]), into)
    if isinstance(taken, Extracted):
        return into.getvalue(), taken
    if found.otherwise:
        other = _taken(shape, found.otherwise)
        return taken if isinstance(other, Problem) else other
    return taken
