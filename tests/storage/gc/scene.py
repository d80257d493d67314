"""Scenes for garbage collection: a store that is old, and who collects in it."""

from __future__ import annotations

import contextlib
import os
import time
from types import SimpleNamespace

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Driver
from storage.gc import collector as gc_collector
from storage.gc.collector import Collector
from storage.gc.job import Collected, Gone, Waits
from storage.gc.retention import DAY, Keep
from storage.repositories import Repository
from storage.store import Store
from storage.tags import HISTORY
from tests.storage.conftest import LIMIT, objects
from tests.storage.content import put_blob

PLAIN = b"{}"


def aged(driver: DiskDriver, days: float) -> None:
    """Make all that is stored so old."""
    then = time.time() - days * DAY
    for name in objects(driver):
        with contextlib.suppress(FileNotFoundError):  # a temporary file of a server, gone meanwhile
            os.utime(driver.root / name, (then, then))


def older(driver: DiskDriver, days: float) -> None:
    """Let so many days pass for all that is not in the trash."""
    for name in objects(driver):
        path = driver.root / name
        if not name.startswith("trash/"):
            os.utime(path, (path.stat().st_mtime - days * DAY,) * 2)


def in_days(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let the next runs begin so many days from now, whatever the store."""
    monkeypatch.setattr(gc_collector, "time", SimpleNamespace(time=lambda: time.time() + days * DAY))


def collector(
    driver: Driver, keep: Keep | None = None, told: list[Gone] | None = None, *, history: float = HISTORY
) -> Collector:
    """Who collects without a pause, by one rule for all repositories."""
    hear = (told if told is not None else []).append
    return Collector(driver, lambda _: keep, history=history, pause=0, waits=Waits(), told=hear)


async def collected(driver: Driver, keep: Keep | None = None) -> Collected:
    """What one run collects."""
    return await collector(driver, keep).run()


async def settled(driver: DiskDriver, keep: Keep | None = None) -> None:
    """Collect until all that is garbage by now has gone, the trash not yet purged."""
    for _ in range(3):
        older(driver, 2)
        await collected(driver, keep)


def opened(driver: Driver, name: str = "team/a") -> Repository:
    """A repository of the store over this driver."""
    return Store(driver, upload_limit=LIMIT).repository(name)


async def filled(repository: Repository, *layers: bytes) -> None:
    """Give a repository the blobs of images over these layers."""
    for layer in (PLAIN, *layers):
        await put_blob(repository, layer)


def has_bytes(driver: DiskDriver, data: bytes) -> bool:
    """Whether bytes are where shared ones are."""
    return (driver.root / paths.blob(Digest.of(data))).exists()
