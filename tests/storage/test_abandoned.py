"""A thousand uploads that nobody goes on with, at all their stages: a sweep leaves no byte of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import paths
from storage.digest import Digest
from storage.driver import Driver
from storage.errors import DigestInvalid
from storage.s3.writes import PART
from storage.store import Store
from storage.sweep import abandoned
from storage.uploads import EMPTY_SECONDS, Session
from tests.real.seaweed import Bucket
from tests.storage.both import Drivers, contents, over_both
from tests.storage.streams import failing, outcome, pieces

THOUSAND = 1000
LARGE = 4  # of each stage beyond PART: bytes are slow
FUTURE = 3 * EMPTY_SECONDS

pytestmark = [over_both, pytest.mark.slow, pytest.mark.usefixtures("unsynced")]


class Cut(Exception):
    """The connection broke in mid-body."""


@pytest.fixture
def left(request: pytest.FixtureRequest, drivers: Drivers) -> Callable[[], list[str]]:
    """What of writers is left in the store besides its objects: temporary files, multipart uploads."""
    if "bucket" in request.fixturenames:
        bucket: Bucket = request.getfixturevalue("bucket")
        return bucket.multiparts
    temp: Path = request.getfixturevalue("tmp_path") / "store" / "temp"
    return lambda: [path.name for path in temp.rglob("*")] if temp.exists() else []


async def test_a_thousand(drivers: Drivers, left: Callable[[], list[str]]) -> None:
    driver = drivers()
    store = Store(driver, upload_limit=64 << 20)
    await store.open()
    repository = store.repository("team/a")
    kept = Digest.of(b"kept")
    await repository.blobs.put(kept, b"kept")
    before = await contents(driver)
    gate = asyncio.Semaphore(32)

    async def begun(_: Session) -> None:
        pass

    async def small(session: Session) -> None:
        await store.uploads.extend(session, pieces(b"x" * 50))

    async def cut(session: Session) -> None:
        assert await outcome(store.uploads.extend(session, failing(Cut(), b"x" * 50))) is Cut

    async def cancelled(session: Session) -> None:
        await small(session)
        await store.uploads.cancel(session)

    async def refused(session: Session) -> None:
        session = await store.uploads.extend(session, pieces(b"x" * 50))
        other = Digest.of(b"other")
        assert await outcome(store.uploads.finish(session, other, repository.blobs)) is DigestInvalid

    async def large(session: Session) -> None:
        await store.uploads.extend(session, pieces(b"x" * (PART + 1)))

    async def large_cut(session: Session) -> None:
        assert await outcome(store.uploads.extend(session, failing(Cut(), b"x" * (PART + 1)))) is Cut

    async def large_cancelled(session: Session) -> None:
        await large(session)
        await store.uploads.cancel(session)

    async def single_cut(session: Session) -> None:
        blob = store.uploads.single(Digest.of(b"x"), failing(Cut(), b"x" * (PART + 1)), repository.blobs)
        assert await outcome(blob) is Cut

    small_ones = (begun, small, cut, cancelled, refused)
    large_ones = (large, large_cut, large_cancelled, single_cut)

    async def one(at: int) -> None:
        async with gate:
            stage = small_ones[at % 5] if at >= len(large_ones) * LARGE else large_ones[at % 4]
            await stage(await store.uploads.start(f"team/{at % 7}"))

    await asyncio.gather(*map(one, range(THOUSAND)))
    went = (THOUSAND - len(large_ones) * LARGE) * 2 // 5 + LARGE  # those that ended themselves
    empty = 0 if not driver.remote else THOUSAND // 5
    there = len(await of_uploads(driver))
    assert there >= THOUSAND - went - empty - 5
    assert await store.sweep(age=FUTURE) == 0, "they are young"
    assert len(await of_uploads(driver)) == there
    # Another server, which knows nothing of them.
    assert await abandoned(drivers(), before=time.time() + FUTURE) == there
    assert left() == []
    assert await contents(driver) == before
    assert (await repository.blobs.open(kept)).size == 4


async def of_uploads(driver: Driver) -> list[str]:
    """The uploads that are under way, as far as the store knows of them."""
    keys = [f"{paths.UPLOADS}/{name}" for name in (await driver.children(paths.UPLOADS)).names]
    found = await asyncio.gather(*map(driver.stat, keys))
    return [key for key, at in zip(keys, found, strict=True) if at.size or not driver.remote]
