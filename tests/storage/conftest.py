"""Fixtures of the storage tests: a store in a folder of its own, and drivers over it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from storage.disk import DiskDriver
from storage.repositories import Repository
from storage.store import Store
from tests.storage.both import Drivers, opener

LIMIT = 4 << 20


@pytest.fixture
def driver(tmp_path: Path) -> DiskDriver:
    return DiskDriver(tmp_path / "store")


@pytest.fixture
async def store(driver: DiskDriver) -> Store:
    store = Store(driver, upload_limit=LIMIT)
    await store.open()
    return store


@pytest.fixture
async def repository(store: Store) -> Repository:
    return store.repository("team/a")


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does without `os.fsync`, for tests that write much and are not about power cuts."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def objects(driver: DiskDriver) -> dict[str, bytes]:
    """Everything in the store, temporary files included, but for what goes meanwhile."""
    found: dict[str, bytes] = {}
    for at, _, names in os.walk(driver.root):
        for path in (Path(at, name) for name in names if Path(at).name != "locks"):
            with contextlib.suppress(FileNotFoundError):
                found[str(path.relative_to(driver.root))] = path.read_bytes()
    return found


@pytest.fixture
def drivers(request: pytest.FixtureRequest) -> Drivers:
    return opener(request)
