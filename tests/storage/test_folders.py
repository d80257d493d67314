from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from storage import folders


def test_make_and_prune(tmp_path: Path) -> None:
    folders.make(tmp_path / "a/b/c", tmp_path)
    folders.make(tmp_path / "a/b/d", tmp_path)
    assert (tmp_path / "a/b/c").is_dir()
    (tmp_path / "a/b/d/x").write_bytes(b"")
    folders.prune(tmp_path / "a/b/d/x", tmp_path)
    assert (tmp_path / "a/b/d").is_dir(), "it is not empty"
    folders.prune(tmp_path / "a/b/c/gone", tmp_path)
    assert not (tmp_path / "a/b/c").exists()
    (tmp_path / "a/b/d/x").unlink()
    folders.prune(tmp_path / "a/b/d/x", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "the folders of the root stay"
    assert list((tmp_path / "a").iterdir()) == []


def named(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def syncs(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are synced from now on, and whether their names were known to be on the disk then."""
    found: list[str] = []

    def record(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        found.append(str(path.relative_to(root)))

    monkeypatch.setattr(os, "fsync", record)
    return found


def test_a_folder_is_on_the_disk_when_those_above_it_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = syncs(tmp_path, monkeypatch)
    folders.make(tmp_path / "a/b/c", tmp_path)
    assert synced == [], "nothing in it is acknowledged yet"
    assert not any(named(tmp_path / name) for name in ("a", "a/b", "a/b/c"))
    folders.sync(tmp_path / "a/b/c", tmp_path)
    assert synced == ["a/b/c", "a/b", "a", "."]
    assert all(named(tmp_path / name) for name in ("a", "a/b", "a/b/c"))
    synced.clear()
    folders.sync(tmp_path / "a/b/c", tmp_path)
    assert synced == ["a/b/c"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o701)], ids=oct)
def test_the_mode_of_a_folder(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        folders.make(tmp_path / "a", tmp_path)
    finally:
        os.umask(before)
    folders.sync(tmp_path / "a", tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
    (tmp_path / "a").chmod(mode & ~stat.S_IXOTH)
    folders.sync(tmp_path / "a", tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_folder_that_another_writer_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been killed before it synced anything."""
    folders.make(tmp_path / "a/b", tmp_path)
    synced = syncs(tmp_path, monkeypatch)
    folders.make(tmp_path / "a/b", tmp_path)
    folders.sync(tmp_path / "a/b", tmp_path)
    assert synced == ["a/b", "a", "."]


def test_a_folder_that_is_made_anew_is_not_the_one_that_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.make(tmp_path / "a/b", tmp_path)

    def make_anew(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name == "a":
            (tmp_path / "a/b").rmdir()
            folders.make(tmp_path / "a/b", tmp_path)

    monkeypatch.setattr(os, "fsync", make_anew)
    folders.sync(tmp_path / "a/b", tmp_path)
    assert (named(tmp_path / "a"), named(tmp_path / "a/b")) == (True, False)


def test_the_folder_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = syncs(tmp_path, monkeypatch)
    folders.make_root(tmp_path / "a/b")
    assert sorted(synced) == [".", "a"]
    synced.clear()
    folders.make_root(tmp_path / "a/b")
    assert synced == ["a"], "who made it may not have synced it"


def test_folders_that_are_made_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = syncs(tmp_path, monkeypatch)
    names = ("a/b", "a/c", "d/e")
    for _ in range(2):
        folders.make_all((tmp_path / name for name in names), tmp_path)
        assert all(named(tmp_path / name) for name in names)
        assert set(synced) in ({"a", "d", "."}, set())
        assert len(synced) in (4, 0)
        synced.clear()


def test_remove_older(tmp_path: Path) -> None:
    for name in ("old", "young", "at"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder/inner").mkdir(parents=True)
    for name, when in (("old", 99), ("at", 100), ("young", 101), ("folder", 99)):
        os.utime(tmp_path / name, (when, when))
    folders.remove_older(tmp_path, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at", "young"]


def test_names(tmp_path: Path) -> None:
    for name in ("b", "a.b", "A"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a-b").mkdir()
    assert sorted(folders.names(str(tmp_path))) == ["A", "a-b", "a.b", "b"]


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("none", "file", "file/below"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            folders.names(str(tmp_path / name))
        assert list(folders.files(str(tmp_path / name), name)) == []


def test_files_do_not_follow_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"xy")
    os.utime(tmp_path / "a/b", (5, 7))
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert {
        (found.key, found.size) for found in folders.files(str(tmp_path / "a"), "k") if found.size == 2
    } == {("k/b", 2)}
