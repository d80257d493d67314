from __future__ import annotations

import asyncio
from itertools import product

import pytest

from storage import paths, pulls
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import NameInvalid
from storage.pulls import AGENT, MOST, MOST_AGENTS, Pull, Pulls, merged
from storage.store import Store
from tests.storage.both import Drivers, over_both

ONE, TWO = Digest.of(b"one"), Digest.of(b"two", "sha512")
KEY = paths.pulls("team/a", str(ONE))


@over_both
async def test_what_was_noted_is_there_newest_first(drivers: Drivers) -> None:
    kept = Pulls(drivers(), "team/a")
    assert await kept.of(ONE) == ()
    first, second = Pull("user:alice", "docker/29", 10), Pull("", "", 20)
    await kept.note(ONE, [first, second])
    await kept.note(TWO, [first])
    assert await Pulls(drivers(), "team/a").of(ONE) == (second, first)
    assert await kept.of(TWO) == (first,)
    assert await Pulls(drivers(), "team/b").of(ONE) == ()


@over_both
async def test_writers_at_the_same_time_lose_nothing(drivers: Drivers) -> None:
    replicas = [Pulls(drivers(), "team/a") for _ in range(4)]
    await asyncio.gather(
        *(one.note(ONE, [Pull(f"robot:{at}", "x", at)]) for at, one in enumerate(replicas, 1))
    )
    assert [pull.at for pull in await replicas[0].of(ONE)] == [4, 3, 2, 1]


async def test_the_newest_of_each_stays(driver: DiskDriver) -> None:
    kept = Pulls(driver, "team/a")
    for at in (10, 30, 20):
        await kept.note(ONE, [Pull("user:alice", "docker/29", at)])
    assert await kept.of(ONE) == (Pull("user:alice", "docker/29", 30),)


async def test_what_is_known_is_not_written_again(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Pulls(driver, "team/a")
    await kept.note(ONE, [Pull("", "x", 10)])
    monkeypatch.delattr(DiskDriver, "replace")
    for at in (10, 5):
        await kept.note(ONE, [Pull("", "x", at)])


def test_somebody_with_many_agents_displaces_nobody() -> None:
    many = [Pull("", f"agent/{at}", at) for at in range(1000)]
    robot = Pull("robot:deploy", "istio", 1)
    kept = merged([robot, *many])
    assert kept == (*reversed(many[-MOST_AGENTS:]), robot)


def test_it_is_bounded() -> None:
    many = [Pull(f"user:{who}", f"agent/{at}", at) for who, at in product(range(MOST), range(MOST_AGENTS))]
    kept = merged(many)
    assert len(kept) == MOST
    assert {pull.at for pull in kept} == {MOST_AGENTS - 1}
    longest = [Pull("user:" + "a" * 128 + str(at), "x" * 2 * AGENT, at) for at in range(MOST)]
    assert len(pulls._written(longest)) < 32 << 10


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"pulls":[1]}', b'{"pulls":[{"by":"x"}]}'])
async def test_a_damaged_record_is_none(driver: DiskDriver, damage: bytes) -> None:
    await driver.put(KEY, damage)
    kept = Pulls(driver, "team/a")
    assert await kept.of(ONE) == ()
    await kept.note(ONE, [Pull("", "x", 10)])
    assert await kept.of(ONE) == (Pull("", "x", 10),)


async def test_what_is_taken_away_meanwhile_is_made_anew(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Pulls(driver, "team/a")
    await kept.note(ONE, [Pull("", "x", 10)])
    replace = driver.replace

    async def late(key: str, data: bytes, expected: bytes) -> None:
        await driver.delete(key)
        await replace(key, data, expected)

    monkeypatch.setattr(driver, "replace", late)
    await kept.note(ONE, [Pull("", "y", 20)])
    assert await kept.of(ONE) == (Pull("", "y", 20),)
    await driver.delete(KEY)
    with pytest.raises(ObjectMissing):
        await driver.get(KEY)


def test_the_store_opens_them(driver: DiskDriver) -> None:
    store = Store(driver, upload_limit=1)
    assert isinstance(store.pulls("team/a"), Pulls)
    with pytest.raises(NameInvalid):
        store.pulls("Team")
