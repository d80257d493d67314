from __future__ import annotations

import asyncio
import os
import time

import pytest

from storage import sweep
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import BlobUploadUnknown
from storage.refusals import SECONDS
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import objects
from tests.storage.streams import outcome, pieces

HOUR = 3600.0


def age(driver: DiskDriver, folder: str, name: str, seconds: float) -> None:
    """Make a file older than it is."""
    then = time.time() - seconds
    os.utime(driver.root / folder / name, (then, then))


@pytest.mark.usefixtures("unsynced")
async def test_a_thousand_abandoned_uploads_leave_no_byte(store: Store, driver: DiskDriver) -> None:
    before = objects(driver)
    sessions = [await store.uploads.start(f"team/{at % 7}") for at in range(1000)]
    await asyncio.gather(*(store.uploads.extend(session, pieces(b"x" * 50)) for session in sessions[::9]))
    for at in range(20):
        (driver.root / "temp" / f"of-the-dead-{at}").write_bytes(b"x" * 50)
    assert len(objects(driver)) == len(before) + 1020
    assert await sweep.abandoned(driver, before=time.time() + HOUR) == 1000
    assert objects(driver) == before
    assert await sweep.abandoned(driver, before=time.time() + HOUR) == 0


async def test_what_is_fresh_stays(store: Store, driver: DiskDriver, repository: Repository) -> None:
    old, fresh, finished = [await store.uploads.start("team/a") for _ in range(3)]
    for session in (old, fresh):
        await store.uploads.extend(session, pieces(b"x"))
    await store.uploads.finish(finished, Digest.of(b""), repository.blobs)
    for name, kind in (("old", 2 * HOUR), ("fresh", 0.0)):
        (driver.root / "temp" / name).touch()
        age(driver, "temp", name, kind)
    age(driver, "uploads", old.key.rpartition("/")[2], 2 * HOUR)
    assert await store.sweep(age=HOUR) == 1
    assert await outcome(store.uploads.find("team/a", old.id, surely=True)) is BlobUploadUnknown
    assert (await store.uploads.find("team/a", fresh.id)).offset == 1
    assert (await repository.blobs.open(Digest.of(b""))).size == 0
    assert [path.name for path in (driver.root / "temp").iterdir()] == ["fresh"]


async def test_an_old_upload_that_goes_on_is_fresh(store: Store, driver: DiskDriver) -> None:
    session = await store.uploads.start("team/a")
    age(driver, "uploads", session.key.rpartition("/")[2], 2 * HOUR)
    await store.uploads.extend(session, pieces(b"x"))
    assert await store.sweep(age=HOUR) == 0
    assert (await store.uploads.find("team/a", session.id)).offset == 1


async def test_nothing_to_sweep(store: Store) -> None:
    assert await store.sweep(age=0) == 0


async def test_several_sweep_at_once(store: Store, driver: DiskDriver) -> None:
    for _ in range(20):
        await store.uploads.start("team/a")
    found = await asyncio.gather(
        *(sweep.abandoned(DiskDriver(driver.root), before=time.time() + HOUR) for _ in range(3))
    )
    assert sum(found) == 20
    assert set(objects(driver)) == {"format"}


async def test_an_upload_that_ends_while_it_is_looked_at(store: Store, driver: DiskDriver) -> None:
    session = await store.uploads.start("team/a")
    stat = driver.stat

    async def stat_of_nothing(key: str) -> object:
        await stat(key)
        await store.uploads.cancel(session)
        raise ObjectMissing(key)

    driver.stat = stat_of_nothing  # type: ignore[method-assign, assignment]
    assert await sweep.abandoned(driver, before=time.time() + HOUR) == 0


async def test_refusals_go_after_their_time(store: Store, driver: DiskDriver, repository: Repository) -> None:
    other = store.repository("team/never-pushed")
    for name in ("old", "fresh"):
        await repository.refusals.keep([name], {})
    await other.refusals.keep(["old"], {})
    for folder in ("refusals/team.a", "refusals/team.never+pushed"):
        age(driver, folder, "old", SECONDS + 60)
    age(driver, "refusals/team.a", "fresh", SECONDS - 60)
    assert await store.sweep(age=HOUR) == 0
    assert [name for name in objects(driver) if name.startswith("refusals/")] == ["refusals/team.a/fresh"]
    assert not (driver.root / "refusals" / "team.never+pushed").exists()
    assert await sweep.refusals(driver, before=time.time() + HOUR) == 1


async def test_a_refusal_that_goes_while_it_is_looked_at(driver: DiskDriver, repository: Repository) -> None:
    await repository.refusals.keep(["v1"], {})
    stat = driver.stat

    async def stat_of_nothing(key: str) -> object:
        await stat(key)
        raise ObjectMissing(key)

    driver.stat = stat_of_nothing  # type: ignore[method-assign, assignment]
    assert await sweep.refusals(driver, before=time.time() + HOUR) == 0
