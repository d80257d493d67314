"""Whatever a layer or a manifest is, there is a verdict: no other exception, no endless work, no leak."""

from __future__ import annotations

import gc
import io
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from registry.consumers.archive import Extracted, copy_raw, extract
from registry.consumers.attachments import is_attachment
from registry.verdict import Problem
from storage.errors import ManifestInvalid
from storage.manifest import parse
from tests.fuzz.amount import EXAMPLES, fuzz, watched
from tests.fuzz.images import layer, manifest
from tests.fuzz.test_modules import MOST_GROWTH, resident
from tests.registry.consumers.judging import judged

MOST_TEXT = 200


def unpack(content: bytes) -> None:
    """Unpack a layer and look whether what comes out is a plugin or a reason."""
    into = io.BytesIO()
    with watched():
        found = extract([content], into).found
    _told(found)
    if isinstance(found, Extracted):
        into.seek(0)
        assert copy_raw(into, io.BytesIO()) == Extracted(found.size, found.sha256)


@fuzz
@given(st.randoms(use_true_random=False))
def test_a_changed_layer_gets_a_verdict(chance: Random) -> None:
    unpack(layer(chance))


@fuzz
@given(st.binary(max_size=2000))
def test_noise_gets_a_verdict(noise: bytes) -> None:
    unpack(noise)
    unpack(b"\x1f\x8b\x08\0" + noise)
    _told(copy_raw([noise], io.BytesIO()))


@fuzz
@given(st.randoms(use_true_random=False))
def test_a_changed_manifest_gets_a_verdict(chance: Random) -> None:
    shape = manifest(chance, "changed")
    with watched():
        try:
            read = parse(shape.body, shape.media_type)
        except ManifestInvalid as error:
            assert error.message and len(f"{error.message} {error.fix}") <= MOST_TEXT, error
            return
        is_attachment(read)
        try:
            found = judged(shape)
        except (KeyError, StopIteration):
            return  # it names what is not there, which is another part's to say
    if isinstance(found, Problem):
        _told(found)


def test_memory_stays_flat() -> None:
    half = max(EXAMPLES // 2, 500)
    for seed in range(half):
        unpack(layer(Random(seed)))
    gc.collect()
    before = resident()
    for seed in range(half, 2 * half):
        unpack(layer(Random(seed)))
    gc.collect()
    assert resident() - before < MOST_GROWTH


def _told(found: Extracted | Problem) -> None:
    if isinstance(found, Problem):
        assert found.code and found.fix
        assert found.message.isprintable()
        assert len(str(found)) <= MOST_TEXT, str(found)
    else:
        assert found.size >= 8
