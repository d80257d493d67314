"""Our verdict on images is the agents' own: read in this run from the code of Istio and of Envoy Gateway."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.publish.bare import inspect_module
from registry.publish.inspect import inspect
from storage.errors import ManifestInvalid
from storage.manifest import Descriptor, parse
from tests.real import anything
from tests.real.anything import Anything
from tests.real.istio import ENVOY_GATEWAY, ISTIO, Fetched, fetch_all
from tests.real.process import run
from tests.real.tools import require
from tests.registry.consumers.build import (
    OCI_LAYER,
    PLUGIN,
    RAW_LAYER,
    Shape,
    corrupted,
    image,
    layer,
    sized,
    squeezed,
    tar,
)
from tests.registry.consumers.lies import LIES, STRICTER
from tests.registry.consumers.shapes import HOSTILE, RAW_CONFIG, SHAPES
from tests.registry.publish.looks import InThread

pytestmark = [pytest.mark.real, pytest.mark.slow]

AGENTS = {"istio": ISTIO, "envoy-gateway": ENVOY_GATEWAY}
TABLE = [*SHAPES, *LIES, *STRICTER]


@dataclass(frozen=True, slots=True)
class Ours:
    """What we say of a shape: who takes it, which module it holds, and the digest to compare."""

    takers: frozenset[str]
    sha256: str = ""
    digest: str = ""


class _Parts:
    """The parts of a shape (an `inspect.Source`)."""

    def __init__(self, shape: Shape) -> None:
        self._manifests = {inner.digest: inner.body for inner in every(shape)}
        self._blobs = {digest: data for inner in every(shape) for digest, data in inner.blobs.items()}

    async def manifest(self, descriptor: Descriptor) -> bytes:
        return self._manifests[str(descriptor.digest)]

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        yield self._blobs[str(descriptor.digest)]


def every(shape: Shape) -> Iterator[Shape]:
    """A shape, its children and theirs."""
    yield shape
    for child in shape.children:
        yield from every(child)


def ours(shape: Shape) -> Ours:
    try:
        manifest = parse(shape.body, shape.media_type)
        found = asyncio.run(inspect(manifest, _Parts(shape), InThread()))
    except ManifestInvalid:
        return Ours(frozenset())
    takers = frozenset(verdict.consumer for verdict in found.verdicts if verdict.ok)
    if not found.facts:
        return Ours(takers)
    digest = found.image.digest.hex if found.image else shape.digest.removeprefix("sha256:")
    return Ours(takers, found.facts.sha256, digest)


def serve(registry: Anything, shape: Shape, repository: str) -> str:
    """Serve a shape with all that belongs to it; gives its URL."""
    for inner in every(shape):
        registry.manifest(repository, inner.digest, inner.media_type, inner.body)
        registry.blobs(repository, inner.blobs)
    registry.manifest(repository, "v1", shape.media_type, shape.body)
    return f"oci://{registry.host}/{repository}:v1"


@pytest.fixture(scope="module")
def registry() -> Iterator[Anything]:
    with anything.running() as served:
        yield served


Theirs = Mapping[str, Mapping[str, Fetched]]


@pytest.fixture(scope="module")
def theirs(registry: Anything, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """What each agent made of each shape of the table, by agent and name."""
    urls = [(serve(registry, shape, f"shapes/{at}"), "") for at, shape in enumerate(TABLE)]
    found = {
        agent: fetch_all(urls, tmp_path_factory.mktemp(agent), by=part) for agent, part in AGENTS.items()
    }
    names = [shape.name for shape in TABLE]
    return {agent: dict(zip(names, results, strict=True)) for agent, results in found.items()}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("shape", [*SHAPES, *LIES], ids=str)
def test_verdict_module_and_digest_are_the_agent_s(shape: Shape, agent: str, theirs: Theirs) -> None:
    fetched, found = theirs[agent][shape.name], ours(shape)
    assert (agent in found.takers) == (not fetched.error), fetched.error or "the agent takes it"
    if not fetched.error:
        assert (found.sha256, found.digest) == (fetched.sha256, fetched.digest)


@pytest.mark.parametrize("shape", STRICTER, ids=str)
def test_what_has_two_meanings_is_refused_although_agents_take_it(shape: Shape, theirs: Theirs) -> None:
    assert not ours(shape).takers
    assert not any(theirs[agent][shape.name].error for agent in AGENTS)


def test_the_table_is_large_and_its_names_are_its_own() -> None:
    assert len(SHAPES) + len(LIES) >= 150
    assert len({shape.name for shape in (*TABLE, *HOSTILE)}) == len(TABLE) + len(HOSTILE)


# An agent with memory enough survives what another does not: refused for all of them.
DEPENDS = "a link of 300 MiB"


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("shape", HOSTILE, ids=str)
def test_what_ends_an_agent_is_refused_for_it_alone(
    shape: Shape, agent: str, registry: Anything, tmp_path: Path
) -> None:
    url = serve(registry, shape, f"hostile/{HOSTILE.index(shape)}")
    done = run(require(AGENTS[agent]), "-dir", tmp_path, url)
    assert done.code == 0 or "panic:" in done.err or "fatal error:" in done.err or "error" in done.out
    if (agent, shape.name) == ("istio", DEPENDS):
        assert agent not in ours(shape).takers
    else:
        assert (agent in ours(shape).takers) == (done.code == 0), done.said


MIB = 1 << 20
LIMIT = 256 * MIB
LARGE: dict[str, Callable[[], Shape]] = {
    "C of 256 MiB": lambda: image("", [RAW_CONFIG, (RAW_LAYER, sized(LIMIT))], None),
    "C of a byte more": lambda: image("", [RAW_CONFIG, (RAW_LAYER, sized(LIMIT + 1))], ""),
    "B of 256 MiB": lambda: image("", [(OCI_LAYER, packed(LIMIT - 512))], None),
    "B of a byte more": lambda: image("", [(OCI_LAYER, packed(LIMIT - 511))], ""),
}


def packed(size: int) -> bytes:
    """A layer of a module of this size."""
    return gzip.compress(tar(("plugin.wasm", sized(size))), 1, mtime=0)


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_size_of_an_image(make: Callable[[], Shape], registry: Anything, tmp_path: Path) -> None:
    shape = make()
    url, found = serve(registry, shape, "large"), ours(shape)
    istio, gateway = (fetch_all([(url, "")], tmp_path / agent, by=part)[0] for agent, part in AGENTS.items())
    assert found.sha256 == gateway.sha256
    if istio.sha256 != found.sha256:  # refused, or cut without a word
        assert istio.error or Path(istio.path).stat().st_size == LIMIT
    assert ("istio" in found.takers) == (istio.sha256 == gateway.sha256 != "")
    assert "envoy-gateway" not in found.takers  # its Envoys do not fetch as much


BOXES: dict[str, bytes] = {
    "raw": PLUGIN,
    "gzip": squeezed(PLUGIN),
    "gzip twice": squeezed(squeezed(PLUGIN)),
    "tar": tar(("any-name", PLUGIN)),
    "tar in gzip": layer(("any-name", PLUGIN)),
    "gzip in tar": tar(("any-name", squeezed(PLUGIN))),
    "tar, second file": tar(("readme", b"text"), ("plugin.wasm", PLUGIN)),
    "gzip, cut": squeezed(PLUGIN)[:-5],
    "gzip, wrong checksum": corrupted(squeezed(PLUGIN), len(squeezed(PLUGIN)) - 6),
    "tar, cut": tar(("any-name", PLUGIN))[: 512 + 20],
    "text": b"hello, this is no module",
    "nothing": b"",
    "7 bytes": PLUGIN[:7],
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(20),
}
UNBOXED = ("gzip", "gzip twice", "tar", "tar in gzip", "gzip in tar")


@pytest.fixture(scope="module")
def unboxed(registry: Anything, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """What each agent made of each box that it was given by URL."""
    urls = [(registry.file(f"{at}", box), "") for at, box in enumerate(BOXES.values())]
    return {
        agent: dict(zip(BOXES, fetch_all(urls, tmp_path_factory.mktemp(agent), by=part), strict=True))
        for agent, part in AGENTS.items()
    }


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("name", BOXES)
def test_a_module_by_url_is_what_we_say_and_boxes_are_the_agents_own(
    name: str, agent: str, unboxed: Theirs
) -> None:
    """Agents open boxes, Envoy does not: a box is not a module that every consumer takes."""
    fetched, found = unboxed[agent][name], inspect_module(BOXES[name])
    assert found.ok == (name == "raw")
    assert (fetched.error == "") == (found.ok or name in UNBOXED), fetched.error
    if not fetched.error:
        assert fetched.sha256 == fetched.digest == hashlib.sha256(PLUGIN).hexdigest()
