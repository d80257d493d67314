import asyncio
import logging
import os
from pathlib import Path

import pytest

from registry import chores
from registry.chores import Chore
from registry.hot.cache import HotCache
from registry.metrics import SHARED_FOLDER, Metrics
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.store import Store


async def test_chores_are_done_while_they_are_under_way_and_not_after() -> None:
    done: list[str] = []
    enough = asyncio.Event()

    async def do() -> None:
        done.append("it")
        if len(done) == 3:
            enough.set()

    async with chores.under_way([Chore(0.001, do)]):
        await enough.wait()
    before = len(done)
    await asyncio.sleep(0.01)
    assert len(done) == before


async def test_sweeping_says_what_it_swept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Store(DiskDriver(tmp_path), upload_limit=1)
    await store.uploads.start("team/a")
    await chores.sweep(store, 3600)
    assert caplog.messages == []
    await chores.sweep(store, -1)
    assert caplog.messages == ["swept 1 abandoned uploads"]


async def test_a_store_that_fails_does_not_end_the_chore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(DiskDriver(tmp_path), upload_limit=1)

    async def fail(**_: object) -> int:
        raise StoreUnavailable("the store is away.")

    monkeypatch.setattr(store, "sweep", fail)
    await chores.sweep(store, 1)
    assert caplog.messages == ["uploads were not swept: the store is away."]


async def test_the_folder_of_the_counts_stays_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(tmp_path, (1, 1))
    monkeypatch.setenv(SHARED_FOLDER, str(tmp_path))
    await chores.count(Metrics(HotCache(1 << 20)))
    assert os.stat(tmp_path).st_mtime > 1  # noqa: PTH116
