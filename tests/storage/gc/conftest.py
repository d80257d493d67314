"""Fixtures of the tests of garbage collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage.gc import marks


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks without threads: between two calls of the store there is then nothing to wait for."""

    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    monkeypatch.setattr(marks, "to_thread", at_once)
