"""A registry to talk to: one server a module, a repository of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry, fresh


@pytest.fixture
def registry(sidecargo: Sidecargo) -> Registry:
    """The module's server, with a repository that no other test uses."""
    return fresh(sidecargo.host)


@pytest.fixture
def store(sidecargo: Sidecargo) -> Path:
    """The folder in which the module's server keeps its content."""
    return sidecargo.folder / "data"
