"""Signing again in shares: together they are all, and what one of them fails by is told."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing import connection
from pathlib import Path
from typing import Any

import pytest

from registry import keyring, resigning
from registry.keyring import signing_key
from registry.publish.resign import Counts
from registry.settings import Settings
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.store import Store
from tests.registry.publish.test_resign import put

NAMES = ("team/a", "team/b")
EACH = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a store whose manifests are signed by a key that was replaced since."""

    async def filled() -> None:
        store = Store(DiskDriver(tmp_path / "data"), upload_limit=1 << 20)
        await store.open()
        key = signing_key([], tmp_path / "data")
        for name in NAMES:
            for number in range(EACH):
                await put(store.repository(name), str(number), key)

    asyncio.run(filled())
    keyring.rotate(tmp_path / "data")
    return Settings.model_validate({"storage": {"url": str(tmp_path / "data")}})


def processors(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))


def nothing(_name: str, _counts: Counts) -> None:
    pass


@pytest.mark.parametrize("count", [1, 2])
def test_all_is_signed_once(settings: Settings, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    processors(monkeypatch, count)
    told: list[Counts] = []
    done = resigning.run(settings, "here", lambda _, counts: told.append(counts))
    assert done == Counts(repositories=2, seen=24, anew=24)
    assert told[-1] == done
    assert [one.seen for one in told] == sorted(one.seen for one in told)
    assert resigning.run(settings, "here", nothing) == Counts(repositories=2, seen=24)
    assert not multiprocessing.active_children()


def test_what_a_process_fails_by_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processors(monkeypatch, 1)
    nowhere = Settings.model_validate({"storage": {"url": str(tmp_path / "none")}})
    with pytest.raises(StoreUnavailable, match="is no storage of a registry") as failed:
        resigning.run(nowhere, "here", nothing)
    assert failed.value.fix.startswith("Name what is served")
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    processors(monkeypatch, 1)

    def wait(tasks: Any) -> Any:
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
        return connection.wait(tasks)

    monkeypatch.setattr(resigning, "wait", wait)
    with pytest.raises(StoreUnavailable, match="ended before it was done") as failed:
        resigning.run(settings, "here", nothing)
    monkeypatch.undo()
    assert failed.value.fix == "Run it again with --resume."
    assert resigning.run(settings, "here", nothing).seen == len(NAMES) * EACH
