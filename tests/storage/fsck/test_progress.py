from __future__ import annotations

import time

import pytest

from storage import paths
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import StoreFull
from storage.fsck import progress
from storage.fsck.progress import FRESH, Progress

SOME = Progress("blobs/sha256/aa/x", 7, 1000, ["blobs/sha256/a0/y"], time.time())


async def test_it_is_kept_and_forgotten(driver: DiskDriver) -> None:
    assert (await progress.load(driver)).after == ""
    await progress.save(driver, SOME)
    assert await progress.load(driver) == SOME
    for _ in range(2):
        await progress.forget(driver)
        assert (await progress.load(driver)).after == ""


@pytest.mark.parametrize("held", [b"", b"[]", b"{}", b'{"after": 1}'], ids=str)
async def test_a_damaged_one_is_a_beginning(driver: DiskDriver, held: bytes) -> None:
    await driver.put(paths.CHECKED, held)
    found = await progress.load(driver)
    assert (found.after, found.blobs, found.bytes, found.wrong) == ("", 0, 0, [])


async def test_an_old_one_is_a_beginning(driver: DiskDriver) -> None:
    await progress.save(driver, Progress("x", 7, 1000, [], time.time() - FRESH - 1))
    assert (await progress.load(driver)).after == ""


async def test_more_that_is_wrong_than_is_kept(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_MOST_WRONG", 0)
    await progress.save(driver, SOME)
    with pytest.raises(ObjectMissing):
        await driver.get(paths.CHECKED)


async def test_a_store_that_cannot_be_written_to(driver: DiskDriver) -> None:
    class Full(DiskDriver):
        async def put(self, key: str, data: bytes) -> None:
            raise StoreFull("full")

    await progress.save(Full(driver.root), SOME)
