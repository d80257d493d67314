from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from storage.digest import Digest
from storage.disk import DiskDriver
from storage.quota import counting, ledger
from tests.storage.both import Drivers, over_both
from tests.storage.quota.process import Process, data, push, there
from tests.storage.unsteady import Clock, Gate, Unsteady

ROOM = 1_000_000


@over_both
async def test_what_was_here_before_is_counted(drivers: Drivers) -> None:
    before = Process(drivers())
    for number in range(3):
        await push(before.repository(f"team/{number % 2}"), data(number))
    await push(before.repository("other"), data(4))
    one = Process(drivers(), **{"team/**": ROOM, "other": ROOM})
    assert await counting.count(one.quotas) == [*one.quotas.accounts]
    assert [await one.used("team/a"), await one.used("other")] == [30_000, 10_000]


@over_both
async def test_a_count_is_right_beside_who_writes(drivers: Drivers) -> None:
    one, other = (Process(drivers(), **{"team/**": ROOM}) for _ in range(2))
    await one.counted()
    for number in range(10):
        await push(one.repository(f"team/{number % 3}"), data(number))

    async def change() -> None:
        for number in range(10, 20):
            await push(other.repository(f"team/{number % 3}"), data(number))
            gone = number - 8
            await other.repository(f"team/{gone % 3}").blobs.delete(Digest.of(data(gone)))

    counted, _ = await asyncio.gather(counting.count(one.quotas), change())
    assert counted == [*one.quotas.accounts]
    await other.quotas.close()
    assert await one.used() == await there(drivers(), "team/0", "team/1", "team/2") == 100_000


async def test_what_comes_and_goes_while_it_walks_is_looked_at_again(driver: DiskDriver) -> None:
    unsteady = Unsteady(driver)
    one = await Process(driver, **{"team/**": ROOM}).counted()
    await push(one.repository(), data(1))
    gate = unsteady.gates["read"] = Gate()
    # It has met the first blob, and goes on when that is gone and another one is there.
    slow = Process(unsteady.driver, **{"team/**": ROOM})
    task = asyncio.create_task(counting.count(slow.quotas))
    async with asyncio.timeout(20):
        await gate.reached.wait()
    await one.repository().blobs.delete(Digest.of(data(1)))
    await push(one.repository(), data(2, 333))
    gate.go.set()
    assert await task
    await one.quotas.close()
    assert await slow.used() == 333


@over_both
async def test_by_hand_and_damage_are_healed(drivers: Drivers) -> None:
    one = await Process(drivers(), **{"team/**": ROOM}).counted()
    await push(one.repository(), data(1))
    assert await one.used() == 10_000
    driver = drivers()
    await driver.delete(one.repository().blobs.link_key(Digest.of(data(1))))
    await one.counted()
    assert await one.used() == 0
    await driver.put(one.quotas.accounts[0].book.key, b"damaged")
    other = Process(drivers(), **{"team/**": ROOM})
    assert (await other.quotas.accounts[0].book.ledger()).counted is None
    await push((await other.counted()).repository(), data(2))
    assert await other.used() == 10_000


async def test_of_two_counts_at_once_the_last_one_counts(driver: DiskDriver) -> None:
    one, other = (Process(driver, **{"team/**": ROOM}) for _ in range(2))
    counted = await asyncio.gather(counting.count(one.quotas), counting.count(other.quotas))
    assert sorted(map(len, counted)) in ([0, 1], [1, 1])
    assert (await one.quotas.accounts[0].book.ledger()).counted is not None


async def test_with_too_many_changes_it_says_that_it_did_not(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await Process(driver, Clock(), **{"team/**": ROOM}).counted()
    await push(one.repository(), data(1))
    await one.quotas.close()
    monkeypatch.setattr(ledger, "MOST_TOUCHED", 0)
    begin = ledger.Ledger.counting

    def touched(self: ledger.Ledger, by: str, until: float) -> ledger.Ledger:
        return replace(begin(self, by, until), count=None)

    monkeypatch.setattr(ledger.Ledger, "counting", touched)
    assert await counting.count(one.quotas) == []
    assert await one.used() == 10_000
