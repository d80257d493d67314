from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks as those of uploads, each with something between them that lives on.
KEPT = """
import sys
from tests.bench import memory
from registry import heap
import os
if sys.argv[1] == "given back":
    heap.give_back_large_blocks()
del (first := [bytearray(8 << 20)])[:]
blocks, small = [], []
for _ in range(20):
    blocks.append(bytearray(4 << 20))
    small.append(bytearray(100_000))
del blocks
print(memory.resident(os.getpid()) >> 20)
"""


def resident_after(how: str) -> int:
    """The MiB that a process holds after it has freed 80."""
    done = subprocess.run([sys.executable, "-c", KEPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_large_blocks_are_given_back() -> None:
    assert resident_after("given back") < 60 < resident_after("kept")
