from __future__ import annotations

import os
import time

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.gc.job import Gone
from storage.gc.retention import DAY
from storage.repositories import Repository
from tests.storage.conftest import objects
from tests.storage.content import put_blob
from tests.storage.gc.scene import aged, collected, collector, has_bytes

pytestmark = pytest.mark.usefixtures("unsynced", "in_turn")

DATA = b"the bytes of a blob"
DIGEST = Digest.of(DATA)
KEY = paths.blob(DIGEST)


async def test_young_bytes_stay(driver: DiskDriver) -> None:
    await driver.put(KEY, DATA)
    assert (await collected(driver)).contents == 0
    aged(driver, 2)
    told: list[Gone] = []
    found = await collector(driver, told=told).run()
    assert (found.contents, found.content_bytes) == (1, len(DATA))
    assert told == [Gone("content", "", str(DIGEST), len(DATA))]
    assert objects(driver) == {paths.trash(KEY): DATA}


async def test_bytes_of_sha512(driver: DiskDriver, repository: Repository) -> None:
    digest = Digest.of(DATA, "sha512")
    await driver.put(paths.blob(digest), DATA)
    await repository.blobs.link(digest, len(DATA))
    assert (await collected(driver)).contents == 0
    await repository.blobs.delete(digest)
    aged(driver, 2)
    assert (await collected(driver)).contents == 1


async def test_what_is_linked_and_lies_in_the_trash_is_put_back(
    driver: DiskDriver, repository: Repository
) -> None:
    await driver.put(paths.trash(KEY), DATA)
    aged(driver, 20)
    await repository.blobs.link(DIGEST, len(DATA))
    found = await collected(driver)
    assert (found.restored, found.purged, has_bytes(driver, DATA)) == (1, 0, True)


async def test_what_is_in_its_place_too_is_purged(driver: DiskDriver, repository: Repository) -> None:
    await driver.put(paths.trash(KEY), b"old")
    aged(driver, 20)
    await put_blob(repository, DATA)
    assert (await collected(driver)).purged == 1
    assert (driver.root / KEY).read_bytes() == DATA


async def test_a_dry_run_purges_nothing(driver: DiskDriver) -> None:
    await driver.put(paths.trash(KEY), DATA)
    aged(driver, 20)
    told: list[Gone] = []
    found = await collector(driver, told=told).run(dry=True)
    assert (found.purged, found.purged_bytes) == (1, len(DATA))
    assert told == [Gone("trash", "", paths.trash(KEY), len(DATA))]
    assert objects(driver) == {paths.trash(KEY): DATA}


async def test_what_came_to_the_trash_again_meanwhile_is_not_purged(driver: DiskDriver) -> None:
    key = paths.trash(KEY)
    await driver.put(key, DATA)
    aged(driver, 20)
    stat = driver.stat

    async def again(asked: str) -> object:
        os.utime(driver.root / key, (time.time(), time.time() - 13 * DAY))
        return await stat(asked)

    driver.stat = again  # type: ignore[method-assign, assignment]
    assert (await collected(driver)).purged == 0
    assert objects(driver) == {key: DATA}


async def test_files_that_are_not_ours_stay(driver: DiskDriver) -> None:
    for key in ("blobs/sha256/ab/note.txt", "blobs/note.txt"):
        await driver.put(key, b"x")
    aged(driver, 20)
    assert (await collected(driver)).contents == 0
    assert len(objects(driver)) == 2
