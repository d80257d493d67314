from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from storage import kept, paths, records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.kept import Kept
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.storage.content import image
from tests.storage.unsteady import Unsteady

BODY = image(b"layer")
DIGEST = Digest.of(BODY)
RECORD = records.write_descriptor(Descriptor(OCI_MANIFEST, DIGEST, len(BODY)))
KEY = paths.manifest("team/a", DIGEST)
BLOB = paths.blob(DIGEST)
WHOLE = records.enclose(RECORD, BODY)


async def test_in_one_object(driver: DiskDriver) -> None:
    await driver.put(KEY, WHOLE)
    found = await kept.load(driver, KEY, DIGEST)
    assert found == Kept(RECORD, BODY)
    assert found.again(b"{}") == b"{}\n" + BODY
    assert not await kept.enclose(driver, KEY, DIGEST)
    assert await driver.get(KEY) == WHOLE


@pytest.mark.parametrize("place", [BLOB, paths.trash(BLOB)])
async def test_apart(driver: DiskDriver, place: str) -> None:
    await driver.put(KEY, RECORD)
    await driver.put(place, BODY)
    found = await kept.load(driver, KEY, DIGEST)
    assert found == Kept(RECORD, BODY, apart=True)
    assert found.again(b"{}") == b"{}"
    assert await kept.enclose(driver, KEY, DIGEST)
    assert not await kept.enclose(driver, KEY, DIGEST)
    assert await driver.get(KEY) == WHOLE
    assert await driver.get(place) == BODY


@pytest.mark.parametrize("there", [None, b"", BODY[:-1], BODY + b" "])
async def test_bytes_that_are_gone_or_wrong_are_enclosed_by_nobody(
    driver: DiskDriver, there: bytes | None
) -> None:
    await driver.put(KEY, RECORD)
    if there is not None:
        await driver.put(BLOB, there)
    assert await kept.load(driver, KEY, DIGEST) == Kept(RECORD, there, apart=True)
    assert not await kept.enclose(driver, KEY, DIGEST)
    assert await driver.get(KEY) == RECORD


async def test_nothing(driver: DiskDriver) -> None:
    with pytest.raises(ObjectMissing):
        await kept.load(driver, KEY, DIGEST)
    assert not await kept.enclose(driver, KEY, DIGEST)


async def test_two_at_once(driver: DiskDriver) -> None:
    await driver.put(KEY, RECORD)
    await driver.put(BLOB, BODY)
    done = await asyncio.gather(*(kept.enclose(DiskDriver(driver.root), KEY, DIGEST) for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    assert await driver.get(KEY) == WHOLE


Meanwhile = Callable[[DiskDriver], Awaitable[object]]


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (lambda driver: driver.delete(KEY), None),
        (lambda driver: driver.put(KEY, WHOLE), WHOLE),
        (lambda driver: driver.put(KEY, RECORD), WHOLE),
    ],
    ids=["deleted", "pushed", "pushed by the release before"],
)
async def test_what_somebody_else_does_meanwhile_wins(
    driver: DiskDriver, meanwhile: Meanwhile, left: bytes | None
) -> None:
    await driver.put(KEY, RECORD)
    await driver.put(BLOB, BODY)
    store = Unsteady(driver)
    began = False

    async def get(key: str) -> bytes:
        nonlocal began
        held = await driver.get(key)
        if key == KEY and not began:
            began = True
            await meanwhile(driver)
        return held

    store.get = get  # type: ignore[attr-defined]
    await kept.enclose(store.driver, KEY, DIGEST)
    if left is None:
        with pytest.raises(ObjectMissing):
            await driver.get(KEY)
    else:
        assert await driver.get(KEY) == left
