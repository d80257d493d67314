from __future__ import annotations

import asyncio

import pytest

from storage import paths, urls
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import PEEKED
from storage.errors import Denied, NameInvalid, StoreUnavailable
from storage.store import Store
from storage.urls import MOST, MOST_REFERENCES, Of, Url, Urls
from tests.storage.both import Drivers, over_both

ONE = Digest.of(b"one")
LONGEST = "robot:" + "a" * 128
NOW = 1_000_000.0


@over_both
async def test_who_asks_again_gets_the_same(drivers: Drivers) -> None:
    given = Urls(drivers(), "team/a")
    made: list[Url] = []
    first = await given.give(ONE, by="user:alice", now=NOW, made=made.append)
    assert await given.give(ONE, by="user:alice", now=NOW + 5, made=made.append) == first
    assert made == [first]
    other = await given.give(ONE, by="user:bob", now=NOW)
    by_tag = await given.give("v1", by="user:alice", now=NOW)
    assert len({first.id, other.id, by_tag.id}) == 3
    assert await given.of(ONE) == (first, other)
    assert await given.of("v2") == ()


@over_both
async def test_one_that_ends(drivers: Drivers) -> None:
    given = Urls(drivers(), "team/a")
    url = await given.give(ONE, by="user:alice", now=NOW, ends=NOW + 10)
    assert await given.give(ONE, by="user:alice", now=NOW, ends=NOW + 10) != url
    assert (await given.give(ONE, by="user:alice", now=NOW)).ends is None
    assert await given.find(ONE, url.id, NOW + 9) is not None
    assert await given.find(ONE, url.id, NOW + 10) is None


@over_both
async def test_what_is_revoked_does_not_count(drivers: Drivers) -> None:
    given = Urls(drivers(), "team/a")
    one, two = [await given.give(ONE, by=by, now=NOW) for by in ("user:a", "user:b")]
    assert await given.revoke(ONE, one.id) == (one,)
    assert await given.find(ONE, one.id, NOW) is None
    assert await given.find(ONE, two.id, NOW) is not None
    assert await given.revoke(ONE, one.id) == ()
    again = await given.give(ONE, by="user:a", now=NOW)
    assert again.id != one.id
    assert set(await given.revoke(ONE)) == {two, again}
    assert await given.of(ONE) == await given.revoke(ONE) == ()


async def test_what_makes_it_true(driver: DiskDriver) -> None:
    given = Urls(driver, "team/a")
    url = await given.give("v1", by="user:a", now=NOW)
    found = await given.find("v1", url.id, NOW)
    assert found is not None and found[0] == url
    assert found[1].holds(driver)
    await given.revoke("v1")
    assert not found[1].holds(driver)


async def test_there_are_few_of_one_reference_and_a_peek_shows_all(driver: DiskDriver) -> None:
    given = Urls(driver, "team/a")
    for number in range(MOST):
        await given.give(ONE, by=LONGEST, now=NOW, ends=NOW + 1 + number)
    with pytest.raises(Denied, match="Revoke one"):
        await given.give(ONE, by=LONGEST, now=NOW)
    assert len(await driver.get(paths.url("team/a", str(ONE)))) < PEEKED
    assert (await given.give(ONE, by=LONGEST, now=NOW + 1)).ends is None, "what has ended makes room"


async def test_there_are_few_references(driver: DiskDriver, unsynced: None) -> None:
    given = Urls(driver, "team/a")
    for number in range(MOST_REFERENCES):
        path = driver.root / paths.url("team/a", f"v{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'{"urls":[]}')
    with pytest.raises(Denied, match="Revoke those"):
        await given.give("another", by="user:a", now=NOW)
    await given.give("v7", by="user:a", now=NOW)
    await Urls(driver, "team/b").give("v1", by="user:a", now=NOW)


@over_both
async def test_nothing_is_lost_where_many_ask_at_once(drivers: Drivers) -> None:
    replicas = [Urls(drivers(), "team/a") for _ in range(4)]
    found = await asyncio.gather(
        *(one.give(ONE, by=f"user:{by}", now=NOW) for by in ("a", "b") for one in replicas)
    )
    there = await replicas[0].of(ONE)
    assert {url.id for url in found} == {url.id for url in there}
    assert len(there) == 2
    gone = await asyncio.gather(*(one.revoke(ONE) for one in replicas))
    assert sorted(map(len, gone)) == [0, 0, 0, 2]


@pytest.mark.parametrize(
    "held", [b"", b"{", b"[]", b"{}", b'{"urls":[1]}', b'{"urls":[{}]}', b'{"urls":5}'], ids=str
)
async def test_what_is_damaged_is_not_taken_for_absent(driver: DiskDriver, held: bytes) -> None:
    await driver.put(paths.url("team/a", "v1"), held)
    for question in (Urls(driver, "team/a").of("v1"), Urls(driver, "team/a").find("v1", "0", NOW)):
        with pytest.raises(StoreUnavailable, match="damaged"):
            await question


async def test_all_of_them(store: Store, driver: DiskDriver) -> None:
    one = await store.urls("team/a").give(ONE, by="user:a", now=NOW)
    two = await store.urls("team-x/b.c").give("v1", by="user:b", now=NOW, ends=NOW + 5)
    await driver.put(paths.url("team/a", "damaged"), b"{")
    found = [of async for of in urls.every(driver)]
    assert sorted(found, key=lambda of: of.reference) == [
        Of("team/a", str(ONE), one),
        Of("team-x/b.c", "v1", Url(two.id, "user:b", NOW, NOW + 5)),
    ]
    with pytest.raises(NameInvalid):
        store.urls("A")
