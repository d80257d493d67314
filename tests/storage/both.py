"""Tests over both kinds of a store: `over_both`, then the fixture `drivers` opens one in its own place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.disk import DiskDriver
from storage.driver import Driver
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver

Drivers = Callable[[], Driver]
"""Opens one more driver over the same store, as another process would have."""

over_both = pytest.mark.parametrize(
    "drivers", ["disk", pytest.param("s3", marks=pytest.mark.real)], indirect=True
)


def opener(request: pytest.FixtureRequest) -> Drivers:
    """What the fixture `drivers` gives."""
    if request.param == "disk":
        root: Path = request.getfixturevalue("tmp_path") / "store"
        return lambda: DiskDriver(root)
    bucket = request.getfixturevalue("bucket")
    open_one: Callable[[S3Options], S3Driver] = request.getfixturevalue("s3_driver")
    return lambda: open_one(S3Options(bucket.name, bucket.prefix))


async def contents(driver: Driver) -> dict[str, bytes]:
    """All objects of a store by their keys, what is at its root left aside."""
    found: dict[str, bytes] = {}
    for folder in ("blobs", "catalog", "repositories", "trash", "uploads"):
        async for entry in driver.walk(folder):
            found[entry.key] = await driver.get(entry.key)
    return found
