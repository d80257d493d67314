from __future__ import annotations

import asyncio
import random

import pytest

from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.fsck import hashing
from storage.fsck.hashing import Hashed, Hashing, Pace
from tests.storage.streams import pieces

BIG = random.Random(3).randbytes(3_300_000)


async def test_what_is_stored_is_hashed(driver: DiskDriver) -> None:
    await driver.put_stream("a/big", pieces(BIG))
    await driver.put("a/empty", b"")
    hashing = Hashing(driver)
    for algorithm in ("sha256", "sha512"):
        assert await hashing.hashed("a/big", algorithm) == Hashed(Digest.of(BIG, algorithm), len(BIG))
    assert await hashing.holds("a/empty", Digest.of(b""))
    assert not await hashing.holds("a/big", Digest.of(b""))
    assert hashing.bytes == 3 * len(BIG)
    with pytest.raises(ObjectMissing):
        await hashing.hashed("a/none", "sha256")


class Clock:
    """A time that passes by sleeping only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(hashing.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(hashing.asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


async def test_no_faster_than_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(1000)
    for _ in range(11):
        await pace.take(500)
    assert clock.now == pytest.approx(105)
    clock.now += 60  # what was not used is not saved up
    for _ in range(3):
        await pace.take(500)
    assert clock.now == pytest.approx(166)


async def test_no_rate_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    await asyncio.gather(*(Pace().take(10**12) for _ in range(3)))
    assert clock.now == 100
