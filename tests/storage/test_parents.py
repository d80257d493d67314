from __future__ import annotations

from pathlib import Path

import pytest

from storage import parents, paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.parents import Parents

ONE, TWO, CHILD, OTHER = (Digest.of(name) for name in (b"one", b"two", b"child", b"other"))


async def test_indexes_of_a_child(tmp_path: Path) -> None:
    noted = Parents(DiskDriver(tmp_path), "a/b")
    assert await noted.of(CHILD) == []
    await noted.note(ONE, [CHILD, OTHER, CHILD])
    for _ in range(2):
        await noted.note(TWO, [CHILD])
    assert set(await noted.of(CHILD)) == {ONE, TWO}
    assert await noted.of(OTHER) == [ONE]
    assert await Parents(DiskDriver(tmp_path), "a").of(CHILD) == []


async def test_no_more_than_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parents, "MOST", 2)
    noted = Parents(DiskDriver(tmp_path), "a/b")
    for number in range(3):
        await noted.note(Digest.of(b"%d" % number), [CHILD])
    assert len(await noted.of(CHILD)) == 2
    assert paths.parent("a/b", CHILD, ONE).startswith(paths.parents("a/b", CHILD))
