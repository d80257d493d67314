"""The check over a real S3 store: the same damage is found and mended there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from registry.cli.main import run
from storage.disk import DiskDriver
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from tests.real.seaweed import Bucket
from tests.storage.fsck.filled import checked, fill, told
from tests.storage.fsck.test_check import CASES

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAMES = [
    "nothing",
    "bytes that rotted",
    "bytes that rotted, and right ones in the trash",
    "a link about to end",
    "a manifest that rotted",
    "a tag that names nothing",
    "a tag whose history is damaged",
    "no row",
    "no entry in the catalog",
    "a stray beside tags",
    "a file beside the store",
]


@pytest.fixture
async def s3(bucket: Bucket) -> AsyncIterator[S3Driver]:
    driver = S3Driver(S3Options(bucket.name, bucket.prefix))
    yield driver
    driver.close()


@pytest.mark.parametrize("name", NAMES)
async def test_damage(s3: S3Driver, name: str) -> None:
    case, driver = CASES[name], cast(DiskDriver, s3)
    filled = await fill(s3)
    await case.damage(driver, filled)
    results, _ = await checked(s3, **case.options)
    assert sorted(told(results)) == sorted(case.found(filled))
    for _ in range(2):
        results, counts = await checked(s3, repair=True, **case.options)
    assert sorted(told(results)) == sorted(case.left(filled)), "after the repair"
    if case.then:
        await case.then(driver, filled)
        results, counts = await checked(s3, **case.options)
    assert (counts.left, [] if case.then is None else told(results)) == (0, [])


def test_the_command(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    driver = S3Driver(S3Options(bucket.name, bucket.prefix))
    asyncio.run(fill(driver))
    driver.close()
    assert run(["fsck", "--storage", bucket.url]) == 0
    said = capsys.readouterr().out
    assert said.endswith("hashed: nothing is wrong\n")
