"""Whatever the bytes of a module are, there is a verdict: no other exception, no endless work, no leak."""

from __future__ import annotations

import gc
from pathlib import Path
from random import Random

from hypothesis import given, note
from hypothesis import strategies as st

from registry.publish.bare import inspect_module
from registry.publish.inspect import CONSUMERS
from registry.wasm.ahead import Ahead
from tests.fuzz.amount import EXAMPLES, fuzz, watched
from tests.fuzz.modules import module

MOST_TEXT = 400
"""Characters of the longest problem with its fix. Docker shows 200: the rules' own tests see to that."""
MOST_GROWTH = 24 << 20
PIECE = 100
"""Bytes of a piece in which a module comes to who validates ahead."""


def judge(data: bytes) -> None:
    """Judge a module and look whether the verdict is one."""
    note(f"the module: {data.hex()}")
    with watched():
        found = inspect_module(data)
        ahead = Ahead()
        for at in range(0, len(data), PIECE):
            ahead.add(data[at : at + PIECE])
        assert inspect_module(data, code_is_valid=ahead.code_is_valid()) == found
    assert [verdict.consumer for verdict in found.verdicts] == list(CONSUMERS)
    for problem in found.problems:
        assert problem.code and problem.message and problem.fix
        assert len(str(problem)) <= MOST_TEXT
    if found.facts is None:
        assert not found.ok


@fuzz
@given(st.randoms(use_true_random=False))
def test_a_changed_module_gets_a_verdict(chance: Random) -> None:
    judge(module(chance))


@fuzz
@given(st.binary(max_size=200))
def test_noise_after_a_header_gets_a_verdict(noise: bytes) -> None:
    judge(b"\0asm\x01\0\0\0" + noise)


def test_memory_stays_flat() -> None:
    half = max(EXAMPLES // 2, 500)
    for seed in range(half):
        inspect_module(module(Random(seed)))
    gc.collect()
    before = resident()
    for seed in range(half, 2 * half):
        inspect_module(module(Random(seed)))
    gc.collect()
    assert resident() - before < MOST_GROWTH


def resident() -> int:
    """Bytes of memory that this process has in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
