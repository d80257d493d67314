from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage import folders
from storage.driver import Page


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


def test_remove_older(tmp_path: Path) -> None:
    for name in ("old", "young", "at"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder/inner").mkdir(parents=True)
    for name, when in (("old", 99), ("at", 100), ("young", 101), ("folder", 99)):
        os.utime(tmp_path / name, (when, when))
    folders.remove_older(tmp_path, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at", "young"]


@pytest.mark.parametrize(
    ("after", "limit", "names", "more"),
    [
        ("", None, ("A", "a", "a-b", "a.b", "ab", "b"), False),
        ("", 2, ("A", "a"), True),
        ("a", 2, ("a-b", "a.b"), True),
        ("a.b", 2, ("ab", "b"), False),
        ("b", 2, (), False),
        ("", 0, (), True),
    ],
)
def test_pages(tmp_path: Path, after: str, limit: int | None, names: tuple[str, ...], more: bool) -> None:
    for name in ("b", "a.b", "a", "ab", "A"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a-b").mkdir()
    assert folders.page(str(tmp_path), after, limit) == Page(names, more)


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("none", "file", "file/below"):
        assert folders.page(str(tmp_path / name), "", None) == Page((), more=False)
        assert list(folders.files(str(tmp_path / name), name)) == []


def test_files_do_not_follow_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"xy")
    os.utime(tmp_path / "a/b", (5, 7))
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert {
        (found.key, found.size) for found in folders.files(str(tmp_path / "a"), "k") if found.size == 2
    } == {("k/b", 2)}
