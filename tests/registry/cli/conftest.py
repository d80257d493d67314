from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import sidecargo as servers
from tests.real.sidecargo import Sidecargo
from tests.registry.commands import (  # noqa: F401
    _clean_environment,
    distribution,
    guarded,
    plugin,
    pytest_collection_modifyitems,
    sidecargo,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A registry of ours; in this folder `sidecargo` is the command."""
    running = servers.start(tmp_path_factory.mktemp("server"))
    try:
        yield running
    finally:
        running.stop()
