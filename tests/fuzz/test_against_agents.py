"""On changed layers and manifests, too, the verdict is that of istio-agent's and Envoy Gateway's own code."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from registry.consumers.archive import Extracted
from registry.verdict import Problem
from storage.errors import ManifestInvalid
from storage.manifest import Descriptor, parse
from tests.fuzz.amount import AMOUNT
from tests.fuzz.images import image_of, manifest
from tests.real import anything
from tests.real.istio import ENVOY_GATEWAY, ISTIO, Fetched, fetch_all
from tests.real.test_image_verdicts import ours, serve
from tests.registry.consumers.build import Shape
from tests.registry.consumers.judging import judged
from tests.registry.consumers.lies import INVALID

pytestmark = [pytest.mark.real, pytest.mark.slow]

SHAPES = AMOUNT // 10 or 300
"""How many are given to each agent."""
AGENTS = {"istio": ISTIO, "envoy-gateway": ENVOY_GATEWAY}
# What may end the agent is not for a process that all of them share; what could be read in two ways is
# refused although an agent reads it in one.
LEFT_OUT = ("entry-too-large", INVALID)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_changed_layer_gets_the_agent_s_verdict(agent: str, tmp_path: Path) -> None:
    # Other layers for each agent; the number alone is enough to have the layer again.
    drawn = [image_of(Random(f"{agent} {at}"), f"{at}") for at in range(SHAPES)]
    decided = _decided(drawn, agent)
    theirs = _fetched([shape for shape, _ in decided], agent, tmp_path)
    assert any(fetched.sha256 for fetched in theirs)
    pairs = zip(decided, theirs, strict=True)
    assert [shape.name for (shape, found), they in pairs if _sha256(found) != they.sha256] == []


@pytest.mark.parametrize("agent", AGENTS)
def test_a_changed_manifest_gets_the_agent_s_verdict(agent: str, tmp_path: Path) -> None:
    drawn = [manifest(Random(f"{agent} {at}"), f"{at}") for at in range(SHAPES)]
    shapes = [shape for shape, _ in _decided(drawn, agent)]
    theirs = _fetched(shapes, agent, tmp_path)
    assert any(fetched.sha256 for fetched in theirs)
    for shape, fetched in zip(shapes, theirs, strict=True):
        said = ours(shape)
        assert (agent in said.takers) == (not fetched.error), (shape.name, fetched.error)
        if not fetched.error:
            assert (said.sha256, said.digest) == (fetched.sha256, fetched.digest), shape.name


Found = tuple[bytes, Extracted] | Problem


def _decided(drawn: list[Shape], agent: str) -> list[tuple[Shape, Found]]:
    """What we make of each shape, but for those that are left out and those that name what is not there."""
    decided: list[tuple[Shape, Found]] = []
    for shape in drawn:
        try:
            manifest = parse(shape.body, shape.media_type)
            found = judged(shape, agent)
        except (ManifestInvalid, KeyError, StopIteration):
            continue
        if isinstance(found, Problem) and found.code in LEFT_OUT:
            continue
        if all(_is_so(entry, shape) for entry in (*manifest.blobs(), *manifest.manifests)):
            decided.append((shape, found))
    return decided


def _is_so(entry: Descriptor, shape: Shape) -> bool:
    """Whether what a manifest says of its content is so: else a registry of ours has refused it before."""
    content = shape.blobs.get(str(entry.digest))
    if content is not None:
        return len(content) == entry.size
    return any((child.digest, len(child.body)) == (str(entry.digest), entry.size) for child in shape.children)


def _fetched(shapes: list[Shape], agent: str, folder: Path) -> list[Fetched]:
    with anything.running() as registry:
        urls = [(serve(registry, shape, f"changed/{shape.name}"), "") for shape in shapes]
        return fetch_all(urls, folder, by=AGENTS[agent])


def _sha256(found: Found) -> str:
    return "" if isinstance(found, Problem) else found[1].sha256
