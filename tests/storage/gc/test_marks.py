from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from storage.errors import StoreFull, StoreUnavailable
from storage.gc import marks as under_test
from storage.gc.marks import PAGE, Marks

SCHEMA = "CREATE TABLE one (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;"


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_rows_come_and_go(tmp_path: Path) -> None:
    async with Marks(SCHEMA, tmp_path) as marks:
        await marks.add("INSERT INTO one VALUES (?, ?)", [("a", 1), ("b", 2)])
        await marks.add("INSERT INTO one VALUES (?, ?)", [])
        assert await marks.execute("UPDATE one SET size = 3 WHERE name = ?", "b") == 1
        assert await marks.some("SELECT * FROM one") == [("a", 1), ("b", 3)]
        assert await marks.execute("DELETE FROM one WHERE size > ?", 5) == 0


async def test_pages_show_what_was_there_when_they_began(tmp_path: Path) -> None:
    count = 2 * PAGE + 5
    async with Marks(SCHEMA, tmp_path) as marks:
        await marks.add("INSERT INTO one VALUES (?, ?)", [(f"{at:05}", at) for at in range(count)])
        sizes = []
        async for rows in marks.pages("SELECT size FROM one WHERE size >= ? ORDER BY size DESC", 2):
            await marks.execute("DELETE FROM one")
            async for _ in marks.pages("SELECT size FROM one"):
                pytest.fail("all have gone")
            sizes += [size for (size,) in rows]
            assert len(rows) <= PAGE
        assert sizes == list(range(count - 1, 1, -1))


async def test_no_file_is_seen_and_none_stays(tmp_path: Path) -> None:
    async with Marks(SCHEMA, tmp_path) as marks:
        await marks.add("INSERT INTO one VALUES (?, ?)", [(f"{at:064}", at) for at in range(100_000)])
        assert names(tmp_path) == []
        assert len(await marks.some("SELECT 1 FROM one")) == 100_000
    assert names(tmp_path) == []


async def test_who_is_cancelled_leaves_no_one_at_work(tmp_path: Path) -> None:
    async with Marks(SCHEMA, tmp_path) as marks:
        work = asyncio.create_task(
            marks.add("INSERT INTO one VALUES (?, 1)", [(f"{at}",) for at in range(5)])
        )
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    with pytest.raises(StoreUnavailable):
        await marks.some("SELECT * FROM one")


async def test_no_folder_for_it(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        await Marks(SCHEMA, tmp_path / "full of space").__aenter__()
    assert raised.value.fix
    assert not isinstance(raised.value, StoreFull)


async def test_no_room_for_it(tmp_path: Path) -> None:
    async with Marks(SCHEMA, tmp_path) as marks:
        await marks.execute("PRAGMA max_page_count=5")
        with pytest.raises(StoreFull) as raised:
            await marks.add("INSERT INTO one VALUES (?, ?)", [(f"{at:064}", at) for at in range(10_000)])
        assert "temporary" in raised.value.message


async def test_no_file_stays_of_one_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(under_test.sqlite3, "connect", fail)
    with pytest.raises(StoreUnavailable):
        await Marks(SCHEMA, tmp_path).__aenter__()
    assert names(tmp_path) == []
