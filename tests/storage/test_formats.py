from __future__ import annotations

import json

import pytest

from storage import formats
from storage.disk import DiskDriver
from storage.errors import FormatOutdated, FormatUnknown, StoreError, StoreUnavailable
from storage.formats import FORMAT, OLDEST, Current, Format
from tests.storage.unsteady import Unsteady

OURS = b'{"format":2}'
HALF = b'{"format":2,"from":1}'
FORMER = b'{"format":1}'


def test_a_release_knows_its_format_and_the_one_before() -> None:
    assert (FORMAT, OLDEST) == (2, FORMAT - 1)


@pytest.mark.parametrize(
    ("held", "found", "is_ours", "is_settled"),
    [
        (OURS, Format(2), True, True),
        (HALF, Format(2, 1), True, False),
        (FORMER, Format(1), False, False),
    ],
)
def test_what_is_known(held: bytes, found: Format, is_ours: bool, is_settled: bool) -> None:
    assert formats.read(held) == found
    assert found.written() == held
    assert (found.is_ours, found.is_settled) == (is_ours, is_settled)


@pytest.mark.parametrize(
    ("found", "message", "fix"),
    [
        ({"format": 3}, "the store has format 3; this release knows 1 to 2.", "newer"),
        ({"format": 99, "from": 98}, "the store has format 99; this release knows 1 to 2.", "newer"),
        ({"format": 3, "from": 2}, "the store has format 3; this release knows 1 to 2.", "newer"),
        ({"format": 0}, 'says {"format": 0}, which no release has written', "backup"),
        ({"format": "1"}, 'says {"format": "1"}, which', "backup"),
        ({"format": True}, "says", "backup"),
        ({"format": 2.0}, "says", "backup"),
        ({"format": None}, "says", "backup"),
        ({"format": [1]}, "says", "backup"),
        ({"format": 2, "from": "1"}, "says", "backup"),
        ({"format": 2, "from": 0}, "says", "backup"),
        ({}, "says {}, which", "backup"),
    ],
    ids=repr,
)
async def test_what_is_not_is_refused_and_stays(
    driver: DiskDriver, found: object, message: str, fix: str
) -> None:
    held = json.dumps(found).encode()
    await driver.put("format", held)
    with pytest.raises(FormatUnknown) as raised:
        await formats.opened(driver)
    assert message in raised.value.message
    assert fix in raised.value.fix
    assert await driver.get("format") == held


def test_what_is_too_old_wants_the_release_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it will be for the next release but one."""
    monkeypatch.setattr(formats, "FORMAT", 4)
    monkeypatch.setattr(formats, "OLDEST", 3)
    for held in (b'{"format":2}', b'{"format":3,"from":2}'):
        with pytest.raises(FormatUnknown) as raised:
            formats.read(held)
        assert raised.value.message == "the store has content of format 2; this release knows 3 to 4."
        assert raised.value.fix == "Run sidecargo migrate of the release of format 3 first."


@pytest.mark.parametrize("damage", [b"", b"[2]", b"{", b"\xff"])
async def test_damage_is_told(driver: DiskDriver, damage: bytes) -> None:
    await driver.put("format", damage)
    with pytest.raises(StoreUnavailable, match="the object format of the store is damaged"):
        await formats.opened(driver)
    assert await driver.get("format") == damage


async def test_an_empty_store_becomes_ours_and_another_one_stays(driver: DiskDriver) -> None:
    assert await formats.load(driver) == Format()
    for _ in range(2):
        assert await formats.opened(driver) == Format()
    assert await driver.get("format") == OURS
    await driver.put("format", FORMER)
    assert await formats.opened(driver) == Format(1)
    assert await driver.get("format") == FORMER


@pytest.mark.parametrize(("held", "is_done"), [(OURS, True), (HALF, False), (FORMER, False)])
async def test_what_wants_a_store_of_ours(driver: DiskDriver, held: bytes, is_done: bool) -> None:
    await driver.put("format", held)
    if is_done:
        await formats.must_be_settled(driver)
        return
    with pytest.raises(FormatOutdated) as raised:
        await formats.must_be_settled(driver)
    assert raised.value.message == "the store has content of format 1."
    assert "sidecargo migrate" in raised.value.fix


async def test_who_writes_looks_until_the_format_is_ours(driver: DiskDriver) -> None:
    store = Unsteady(driver)
    current = Current(store.driver)
    await driver.put("format", FORMER)
    assert [await current.is_ours() for _ in range(3)] == [False] * 3
    assert store.asked("get", "format") == 3
    store.down = True
    with pytest.raises(StoreError):
        await current.is_ours()
    store.down = False
    await driver.put("format", HALF)
    store.calls.clear()
    assert [await current.is_ours() for _ in range(3)] == [True] * 3
    assert store.asked("get", "format") == 1
    assert await Current(store.driver, is_ours=True).is_ours()
    assert store.asked("get", "format") == 1
