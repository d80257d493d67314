import io
from collections.abc import AsyncIterator
from typing import BinaryIO

import pytest

from registry.publish.here import Here
from registry.publish.inspect import MAX_NESTED, Findings, inspect
from registry.verdict import Problem, Verdict
from storage.errors import BlobUnknown
from storage.manifest import Descriptor, parse
from tests.registry.consumers.build import PLUGIN, Shape, image, index, sha256
from tests.registry.consumers.judging import code_for
from tests.registry.consumers.lies import INVALID, LIES
from tests.registry.consumers.shapes import AMD64, GOOD, HOSTILE, RAW, RAW_CONFIG, SHAPES, TEXT, B
from tests.registry.publish.looks import spool


class Parts:
    """The parts of a shape (an `inspect.Source`); counts what is read."""

    def __init__(self, shape: Shape) -> None:
        self.read: list[str] = []
        self._manifests: dict[str, bytes] = {}
        self._blobs: dict[str, bytes] = {}
        self._add(shape)

    def _add(self, shape: Shape) -> None:
        self._manifests[shape.digest] = shape.body
        self._blobs |= shape.blobs
        for child in shape.children:
            self._add(child)

    async def manifest(self, descriptor: Descriptor) -> bytes:
        self.read.append(str(descriptor.digest))
        return self._manifests[str(descriptor.digest)]

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        self.read.append(str(descriptor.digest))
        data = self._blobs[str(descriptor.digest)]
        for at in range(0, len(data), 100):
            yield data[at : at + 100]


async def inspected(shape: Shape, parts: Parts | None = None) -> tuple[Findings, bytes]:
    with spool() as into:
        look = Here(into, spool)
        found = await inspect(parse(shape.body, shape.media_type), parts or Parts(shape), look)
        into.seek(0)
        return found, into.read()


LAID_OUT = [shape for shape in (*SHAPES, *HOSTILE, *LIES) if shape.code != INVALID]


@pytest.mark.parametrize("shape", LAID_OUT, ids=str)
async def test_what_is_found_in_an_image(shape: Shape) -> None:
    found, module = await inspected(shape)
    for verdict in found.verdicts:
        code = code_for(shape, verdict.consumer)
        assert [problem.code for problem in verdict.problems] == ([code] if code else [])
    assert found.ok is (shape.code is None)
    if code_for(shape, "envoy"):
        assert found.facts is None and found.layer is None
        return
    assert module == PLUGIN
    assert found.facts is not None and f"sha256:{found.facts.sha256}" == sha256(PLUGIN)
    assert found.layer is not None and str(found.layer.digest) in shape_blobs(shape)
    if shape.children:
        assert found.image is not None and found.image.digest != shape.digest
    else:
        assert found.image is None


def shape_blobs(shape: Shape) -> set[str]:
    return set(shape.blobs).union(*map(shape_blobs, shape.children))


async def test_only_what_is_needed_is_read() -> None:
    shape = image("two", [TEXT, GOOD], None)
    parts = Parts(shape)
    await inspected(shape, parts)
    assert parts.read == [sha256(GOOD[1])]


async def test_of_two_forms_the_second_is_tried_and_the_first_is_told() -> None:
    raw_beside_text = image("C beside text", [RAW, TEXT], None)
    found, module = await inspected(raw_beside_text)
    assert (found.ok, module) == (True, PLUGIN)
    neither = image("neither", [(RAW[0], b"no module at all"), TEXT], None)
    found, _ = await inspected(neither)
    assert [problem.code for problem in found.problems] == ["no-plugin-wasm"]


@pytest.mark.parametrize("depth", range(1, MAX_NESTED + 2))
async def test_indexes_in_indexes(depth: int) -> None:
    shape = B
    for at in range(depth):
        shape = index(f"{at}", [(shape, AMD64)], None)
    found, _ = await inspected(shape)
    if depth < MAX_NESTED:
        assert found.ok
        assert found.image is not None and str(found.image.digest) == B.digest
    else:
        assert [problem.code for problem in found.problems] == ["nested-index"]


async def test_what_cannot_be_read_is_the_source_s_to_say() -> None:
    class Absent(Parts):
        async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
            raise BlobUnknown("gone.")
            yield b""

    with pytest.raises(BlobUnknown):
        await inspected(B, Absent(B))


def test_problems_are_told_once_and_in_order() -> None:
    first, second, third = (Problem(code, "m", "f") for code in "abc")
    found = Findings((Verdict("istio", (second, first)), Verdict("envoy", (first, third))))
    assert found.problems == (second, first, third)
    assert not found.ok
    assert Findings(()).ok


async def test_layers_are_packed_and_unpacked_in_files_alone() -> None:
    opened = 0

    def counted() -> BinaryIO:
        nonlocal opened
        opened += 1
        return spool()

    shape = image("C", [RAW_CONFIG, RAW], None)
    with spool() as into:
        look = Here(into, counted)
        found = await inspect(parse(shape.body, shape.media_type), Parts(shape), look)
    assert found.ok and opened == 1
    assert isinstance(into, io.IOBase) and into.closed
