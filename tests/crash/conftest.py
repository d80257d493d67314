"""What fails in these tests is made to fail: no disk need be beneath, which would be slow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for a module, in memory where the system has such a file system."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("memory")
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def in_memory(memory: Path) -> Iterator[Path]:
    """A folder for a test, likewise."""
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
