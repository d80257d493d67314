from __future__ import annotations

import asyncio

import pytest

from storage import paths, turn
from storage.disk import DiskDriver
from tests.storage.both import Drivers, over_both

DAY = 86400.0
KEY = paths.ANNOUNCED


async def test_the_last_time_is_told(driver: DiskDriver) -> None:
    told = [
        await turn.taken(driver, KEY, now=now, interval=DAY) for now in (5, 6, DAY + 4, DAY + 5, 2 * DAY + 6)
    ]
    assert told == [turn.NEVER, None, None, 5, DAY + 5]


@over_both
async def test_one_of_many_has_it(drivers: Drivers) -> None:
    replicas = [drivers() for _ in range(4)]
    for now, last in ((1.0, turn.NEVER), (2 * DAY, 1.0)):
        told = await asyncio.gather(*(turn.taken(one, KEY, now=now, interval=DAY) for one in replicas))
        assert sorted(told, key=lambda one: one is None) == [last, None, None, None]


@pytest.mark.parametrize("held", [b"", b"[]", b'{"began":true}'], ids=str)
async def test_what_is_damaged_is_long_ago(driver: DiskDriver, held: bytes) -> None:
    await driver.put(KEY, held)
    assert await turn.taken(driver, KEY, now=5 * DAY, interval=DAY) == 0.0
