from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.fsck import met as under_test
from storage.fsck.linked import Linked
from storage.fsck.met import YOUNG, Met, batches, each
from tests.storage.fsck.filled import NEAR, REPOSITORY, SIGNED, fill

OLD = time.time() - YOUNG - 60


async def collected(source: AsyncIterator[str]) -> list[str]:
    return [one async for one in source]


@pytest.mark.usefixtures("unsynced")
async def test_content_in_order_from_anywhere(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_PAGE", 2)
    wanted = sorted(
        paths.blob(Digest.of(b"%d" % number, algorithm))
        for number in range(700)
        for algorithm in ("sha256", "sha512")
    )
    for key in wanted:
        (driver.root / key).parent.mkdir(parents=True, exist_ok=True)
        (driver.root / key).touch()
    await driver.put("blobs/sha256/bb/blobs", b"no digest")
    with Linked() as linked:
        met = Met(driver, linked, apart=False)
        assert await collected(met.content("")) == wanted
        for at in (0, 1, 350, 698, 699, 700, 1200, len(wanted) - 1):
            assert await collected(met.content(wanted[at])) == wanted[at + 1 :]


@pytest.mark.usefixtures("unsynced")
async def test_links_are_noted(driver: DiskDriver) -> None:
    filled = await fill(driver)
    ending = paths.blob_link(NEAR, Digest.of(b"ending"))
    await driver.put(paths.unlinked(NEAR, Digest.of(b"ending")), b'{"size":6}')
    with Linked() as linked:
        found = await collected(Met(driver, linked, apart=False).links())
        assert paths.blob_link(REPOSITORY, Digest.of(SIGNED)) in found
        assert ending not in found
        for named in (b"ending", b"module", SIGNED):
            assert Digest.of(named).hex in linked
        assert filled.image.hex not in linked


@pytest.mark.usefixtures("unsynced")
async def test_each_repository_is_met_once(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(driver)
    await driver.put(paths.catalog("gone"), b"")
    await driver.delete(paths.catalog(NEAR))
    wanted = sorted(paths.catalog(name) for name in ("gone", REPOSITORY, NEAR))
    with Linked() as linked:
        assert sorted(await collected(Met(driver, linked, apart=False).catalog())) == wanted
        monkeypatch.setattr(under_test, "_REMEMBERED", 1)
        assert sorted(set(await collected(Met(driver, linked, apart=False).catalog()))) == wanted


async def test_what_is_young_is_nobodys_business(driver: DiskDriver) -> None:
    keys = [paths.blob(Digest.of(name)) for name in (b"old", b"young", b"linked")]
    for key in keys:
        await driver.put(key, b"xyz")
    for name in ("old", "young"):
        (driver.root / "temp" / name).touch()
    for path in (keys[0], keys[2], "temp/old"):
        os.utime(driver.root / path, (OLD, OLD))
    with Linked() as linked:
        linked.add([Digest.of(b"linked").hex])
        met = Met(driver, linked, apart=False)
        assert [(finding.key, size) async for finding, size in met.unlinked()] == [(keys[0], 3)]
        assert [finding.key async for finding in met.beside()] == ["temp/old"]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2])], ids=str)
async def test_batches(count: int, sizes: list[int]) -> None:
    found = [batch async for batch in batches(each(range(count)), 2)]
    assert [len(batch) for batch in found] == sizes
    assert [one for batch in found for one in batch] == list(range(count))
