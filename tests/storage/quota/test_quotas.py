"""Quotas as they are promised, over both kinds of a store, by several processes at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import pytest

from storage import records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, QuotaExceeded, StoreUnavailable
from storage.quota.book import HOLD, Begin
from storage.repositories import Repository
from tests.storage.both import Drivers, over_both
from tests.storage.content import image, put
from tests.storage.gc.scene import collected, in_days
from tests.storage.quota.process import Process, data, push, push_announced, push_chunked, there
from tests.storage.streams import outcome, pieces
from tests.storage.turns import Story, Turns, each_order
from tests.storage.unsteady import Clock

Push = Callable[[Repository, bytes], Awaitable[Digest]]

ROOM = 54_321
"""Enough for five blobs of 10,000 bytes."""


async def processes(drivers: Drivers, count: int, clock: Clock | None = None) -> list[Process]:
    """Processes over one store, whose quota is counted."""
    opened = [Process(drivers(), clock, **{"team/**": ROOM}) for _ in range(count)]
    await opened[0].counted()
    return opened


@over_both
@pytest.mark.parametrize("push", [push, push_chunked, push_announced])
async def test_of_many_at_once_exactly_as_many_are_taken_as_fit(drivers: Drivers, push: Push) -> None:
    opened = await processes(drivers, 3)
    repositories = [one.repository(f"team/{number}") for number, one in enumerate(opened)]

    outcomes = await asyncio.gather(
        *(outcome(push(repositories[number % 3], data(number))) for number in range(12))
    )

    pushed = [found for found in outcomes if isinstance(found, Digest)]
    if push is not push_announced:  # of which parts hold one another up
        assert len(pushed) == 5
    assert Counter(outcomes)[QuotaExceeded] == 12 - len(pushed)
    names = [repository.name for repository in repositories]
    for one in opened:
        await one.quotas.close()
    assert await opened[0].used() == await there(drivers(), *names) == 10_000 * len(pushed)
    for number, found in enumerate(outcomes):
        seen = await outcome(repositories[number % 3].blobs.find(Digest.of(data(number))))
        assert (seen is BlobUnknown) is (found is QuotaExceeded)


@over_both
async def test_what_does_not_fit_is_refused_before_its_bytes_are_taken(drivers: Drivers) -> None:
    (one,) = await processes(drivers, 1)
    repository, taken = one.repository(), []

    async def body() -> AsyncIterator[bytes]:
        taken.append(1)
        yield b"x"

    with pytest.raises(QuotaExceeded) as refused:
        await repository.uploads.single(Digest.of(b"x"), body(), repository.blobs, size=ROOM + 1)
    assert str(refused.value) == (
        "the quota of team/** is 53 KiB and 0 bytes are used: 53 KiB more do not fit. Delete what is not "
        "needed and wait for garbage collection, or have limits.quota raised."
    )
    assert refused.value.detail == {"repositories": "team/**", "allowed": ROOM, "used": 0, "size": ROOM + 1}
    session = await repository.uploads.start(repository.name)
    assert await outcome(repository.uploads.extend(session, body(), size=ROOM + 1)) is QuotaExceeded
    assert taken == []


@over_both
async def test_of_a_body_of_unknown_length_no_byte_more_is_read_than_fits(drivers: Drivers) -> None:
    (one,) = await processes(drivers, 1)
    repository, taken = one.repository(), 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield bytes(1000)

    session = await repository.uploads.start(repository.name)
    assert await outcome(repository.uploads.extend(session, body())) is QuotaExceeded
    assert ROOM < taken <= ROOM + 1000
    assert await outcome(repository.uploads.find(repository.name, session.id, surely=True)) is not session
    digest = Digest.of(b"")
    assert await outcome(repository.uploads.single(digest, body(), repository.blobs)) is QuotaExceeded
    assert await one.used() == 0


@over_both
async def test_a_full_quota_begins_no_upload_and_a_deletion_frees_it(drivers: Drivers) -> None:
    one, other = await processes(drivers, 2)
    pushed = [await push(one.repository(), data(number, ROOM // 3)) for number in range(3)]
    assert await outcome(other.repository("team").uploads.start("team")) is QuotaExceeded

    await one.repository().blobs.delete(pushed[0])

    assert await other.used() == ROOM // 3 * 2
    await push(other.repository("team"), data(9, ROOM // 3))
    assert await other.used() == await there(drivers(), "team") == ROOM


@over_both
async def test_what_is_here_is_pushed_again_where_nothing_is_left(drivers: Drivers) -> None:
    (one,) = await processes(drivers, 1)
    await push(one.repository(), data(1, ROOM))
    await push(one.repository(), data(1, ROOM))
    assert await one.used() == ROOM


@over_both
async def test_the_same_blob_counts_in_each_repository(drivers: Drivers) -> None:
    (one,) = await processes(drivers, 1)
    for name in ("team/a", "team/b"):
        await push(one.repository(name), data(1))
    blob = await one.repository().blobs.find(Digest.of(data(1)))
    await one.repository("team/c").blobs.mount(blob)
    assert await one.used() == 30_000


@over_both
async def test_manifests_count_and_what_is_collected_is_free(
    drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = await processes(drivers, 1)
    repository = one.repository()
    for blob in (b"{}", data(1)):
        await push(repository, blob)
    pushed = await put(repository, image(data(1)), "v1")
    assert await one.used() == 10_002 + len(pushed.body)

    await repository.delete(pushed.digest)
    assert await one.used() == 10_002
    for days in (2, 4):
        in_days(monkeypatch, days)
        await collected(one.driver)
    assert await one.used() == await there(drivers(), "team/a") == 0


@over_both
async def test_what_a_killed_process_was_about_to_store_is_free_after_a_while(drivers: Drivers) -> None:
    clock = Clock()
    one, killed = await processes(drivers, 2, clock)
    account = killed.quotas.of("team/a")
    assert account
    blobs = [data(number, ROOM // 2) for number in range(3)]
    links = [killed.repository().blobs.link_key(Digest.of(blob)) for blob in blobs]
    for link in links[:2]:
        await account.book.change(Begin("killed", {link: ROOM // 2}, ROOM))
    # Of one of both the link was written, and that is all that became known of it.
    await drivers().put(links[0], records.write_size(ROOM // 2))

    assert await outcome(push(one.repository(), blobs[2])) is QuotaExceeded
    clock.now += HOLD + 1
    await push(one.repository(), blobs[2])
    assert await one.used() == await there(drivers(), "team/a") == ROOM // 2 * 2


@over_both
async def test_an_upload_that_was_left_is_free_after_a_while(drivers: Drivers) -> None:
    clock = Clock()
    one, other = await processes(drivers, 2, clock)
    uploads = one.repository().uploads
    session = await uploads.start("team/a")
    await uploads.extend(session, pieces(bytes(40_000)), size=40_000)
    assert await outcome(push(other.repository(), data(1, 20_000))) is QuotaExceeded
    clock.now += HOLD + 1
    await push(other.repository(), data(1, 20_000))
    assert await other.used() == 20_000


@over_both
async def test_an_upload_that_is_cancelled_is_free(drivers: Drivers) -> None:
    (one,) = await processes(drivers, 1)
    uploads = one.repository().uploads
    session = await uploads.start("team/a")
    session = await uploads.extend(session, pieces(bytes(40_000)), size=40_000)
    assert await one.used() == 40_000
    await uploads.cancel(session)
    assert await one.used() == 0


async def test_the_first_entry_that_names_a_repository_counts(driver: DiskDriver) -> None:
    one = await Process(driver, **{"team/a": 100, "team/**": 50, "*/b": 0}).counted()
    await push(one.repository("team/a"), bytes(100))
    await push(one.repository("team/b"), bytes(50))
    await push(one.repository("other"), bytes(1000))
    assert await outcome(push(one.repository("other/b"), b"x")) is QuotaExceeded
    assert await outcome(push(one.repository("team"), b"x")) is QuotaExceeded
    assert [await one.used(name) for name in ("team/a", "team/b", "other/b")] == [100, 50, 0]
    assert one.quotas.of("other") is None


async def test_other_entries_before_it_make_it_another_quota(driver: DiskDriver) -> None:
    one = await Process(driver, **{"team/**": 500}).counted()
    await push(one.repository("team/a"), bytes(100))
    assert await one.used() == 100
    other = await Process(driver, **{"team/a": 500, "team/**": 500}).counted()
    assert [await other.used(name) for name in ("team/a", "team/b")] == [100, 0]


async def test_nothing_is_taken_before_what_is_here_was_counted(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.quota.account._PAUSE", 0.0)
    one = Process(driver, **{"team/**": ROOM})
    with pytest.raises(StoreUnavailable) as refused:
        await push(one.repository(), data(1))
    assert refused.value.retry_after == 5
    await push((await one.counted()).repository(), data(1))


class Scene:
    """Two processes over one disk for each order of their calls."""

    def __init__(self, driver: DiskDriver) -> None:
        self.number = 0
        self.both: list[Process] = []
        self._driver = driver

    async def next(self, room: int) -> Turns:
        self.number += 1
        pattern = f"team/{self.number}"
        turns, gated = Turns.over(self._driver)
        self.both = [Process(gated, **{pattern: room}) for _ in range(2)]
        await self.both[0].counted()
        return turns

    def repository(self, process: Process) -> Repository:
        return process.repository(f"team/{self.number}")

    async def used(self) -> int:
        """What is in use, which is what is there."""
        name = f"team/{self.number}"
        used = await self.both[1].used(name)
        assert used == await there(self._driver, name)
        return used


async def store(repository: Repository, content: bytes) -> Digest:
    """Store a blob as a push does at last; without its threads, of which no order can be forced."""
    digest = Digest.of(content)
    async with repository.quota.adding(repository.blobs.link_key(digest), len(content)):
        await repository.blobs.link(digest, len(content))
    return digest


async def finished(process: Process, work: Awaitable[object]) -> object:
    """The work, and what it left behind."""
    try:
        return await work
    finally:
        await process.quotas.close()


@pytest.mark.slow
@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("room", [ROOM, 1000])
async def test_the_same_blob_by_two_at_once(driver: DiskDriver, room: int) -> None:
    scene, content = Scene(driver), bytes(1000)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns = await scene.next(room)
        return turns, [partial(finished, one, store(scene.repository(one), content)) for one in scene.both]

    async for found in each_order(begin, at_most=60):
        assert found == [Digest.of(content)] * 2
        assert await scene.used() == 1000


@pytest.mark.slow
@pytest.mark.usefixtures("unsynced")
async def test_a_push_and_a_deletion_at_once(driver: DiskDriver) -> None:
    scene, content = Scene(driver), bytes(1000)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns = await scene.next(1000)
        both = scene.both
        digest = await store(scene.repository(both[0]), content)
        await both[0].quotas.close()
        return turns, [
            partial(finished, both[0], store(scene.repository(both[0]), content)),
            partial(finished, both[1], scene.repository(both[1]).blobs.delete(digest)),
        ]

    async for found in each_order(begin, at_most=60):
        assert found == [Digest.of(content), None]
        await scene.used()


@pytest.mark.slow
@pytest.mark.usefixtures("unsynced")
async def test_of_two_blobs_at_once_one_fits(driver: DiskDriver) -> None:
    scene = Scene(driver)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns = await scene.next(1000)
        return turns, [
            partial(finished, one, store(scene.repository(one), bytes([number]) * 600))
            for number, one in enumerate(scene.both)
        ]

    async for found in each_order(begin, at_most=60):
        assert found.count(QuotaExceeded) == 1
        assert await scene.used() == 600
