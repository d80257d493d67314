from __future__ import annotations

import asyncio

import pytest

from storage.disk import DiskDriver
from storage.gc.graph import SCHEMA, Graph
from storage.gc.job import AT_ONCE, Collected, Gone, Job, Waits
from storage.gc.marks import Marks
from tests.storage.conftest import objects
from tests.storage.gc.scene import aged


def job(driver: DiskDriver, *, dry: bool = False, shown: list[int] | None = None) -> Job:
    def show(_: str, steps: int) -> None:
        if shown is not None:
            shown.append(steps)

    told: list[Gone] = []
    return Job(driver, Graph(Marks(SCHEMA)), 1000.0, Waits(grace=100.0), dry, 0.0, told.append, show)


async def test_some_at_a_time_in_order(driver: DiskDriver) -> None:
    at_once = most = 0
    shown: list[int] = []

    async def do(number: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return -number

    count = 2 * AT_ONCE + 3
    assert await job(driver, shown=shown).all("x", range(count), do) == [-at for at in range(count)]
    assert (most, shown) == (AT_ONCE, [AT_ONCE, 2 * AT_ONCE, count])


async def test_all_have_ended_when_one_has_failed(driver: DiskDriver) -> None:
    ended: list[int] = []

    async def do(number: int) -> None:
        if number == 1:
            raise ValueError(number)
        await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        await job(driver).all("x", range(3 * AT_ONCE), do)
    assert ended == [0, *range(2, AT_ONCE)]


async def test_what_is_old_enough_is_moved(driver: DiskDriver) -> None:
    await driver.put("a/old", b"x")
    aged(driver, 5)
    work, now = job(driver), (await driver.stat("a/old")).modified
    assert not await work.take("a/old", before=now)
    assert await work.take("a/old", before=now + 1)
    assert not await work.take("a/old", before=now + 1)
    assert objects(driver) == {"trash/a/old": b"x"}
    assert work.old == 900.0
    assert work.collected == Collected()


async def test_a_dry_one_moves_nothing(driver: DiskDriver) -> None:
    await driver.put("a", b"x")
    assert await job(driver, dry=True).move("a", "b")
    assert objects(driver) == {"a": b"x"}


@pytest.mark.usefixtures("unsynced")
async def test_a_walk_in_batches(driver: DiskDriver) -> None:
    for at in range(7):
        await driver.put(f"a/{at}", b"x")
    batches = [batch async for batch in job(driver).walk("a")]
    assert sorted(entry.key for batch in batches for entry in batch) == [f"a/{at}" for at in range(7)]
    assert [batch async for batch in job(driver).walk("none")] == [[]]
