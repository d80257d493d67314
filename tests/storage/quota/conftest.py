"""Fixtures of the tests of quotas."""

from __future__ import annotations

import pytest

from storage.quota import book


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was slower tries again at once."""
    monkeypatch.setattr(book, "_FIRST_PAUSE", 0.0)
