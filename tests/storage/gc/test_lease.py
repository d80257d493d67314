from __future__ import annotations

import pytest

from storage import paths
from storage.disk import DiskDriver
from storage.gc import lease
from tests.storage.conftest import objects
from tests.storage.streams import together

DAY = 24 * 3600.0


async def test_the_first_run_is_an_interval_away(driver: DiskDriver) -> None:
    turns = [
        await lease.taken(driver, now=now, interval=DAY) for now in (0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY)
    ]
    assert turns == [False, False, False, True, False, True]
    assert objects(driver) == {paths.COLLECTED: b'{"began":172800.0}'}


async def test_of_many_one_has_its_turn(driver: DiskDriver) -> None:
    for now, expected in ((0, 0), (DAY, 1), (DAY + 5, 0), (2 * DAY + 5, 1)):
        replicas = [DiskDriver(driver.root) for _ in range(8)]
        turns = await together(
            *(lambda view=view, now=now: lease.taken(view, now=now, interval=DAY) for view in replicas)
        )
        assert sorted(map(str, turns)) == ["False"] * (8 - expected) + ["True"] * expected


@pytest.mark.parametrize(
    "held", [b"", b"{", b"[]", b"{}", b'{"began":"x"}', b'{"began":true}', b'{"began":99999999999}'], ids=str
)
async def test_damage_and_clocks_that_were_wrong_stop_nobody(driver: DiskDriver, held: bytes) -> None:
    await driver.put(paths.COLLECTED, held)
    assert await lease.taken(driver, now=5 * DAY, interval=DAY)
    assert not await lease.taken(driver, now=5 * DAY, interval=DAY)
