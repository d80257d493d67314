"""Folders of a disk: made and removed with what is in them, listed in order, walked."""

from __future__ import annotations

import contextlib
import heapq
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from storage.driver import Entry, Page
from storage.files import MISSING, sync_folder


def make(folder: Path, root: Path) -> None:
    """Make a folder below `root`, where it is missing; it may be gone again when this returns."""
    if folder.is_dir():
        return
    if folder.parent != root:
        make(folder.parent, root)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        folder.mkdir()
        sync_folder(folder.parent)


def prune(path: Path, root: Path) -> None:
    """Remove the folders below those of `root` that `path` was the last in."""
    with contextlib.suppress(OSError):
        for folder in path.parents:
            if root in (folder, folder.parent):
                break
            folder.rmdir()


def remove_older(folder: Path, before: float) -> None:
    """Remove what is in a folder and was written before that time (Unix seconds)."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime >= before:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def page(folder: str, after: str, limit: int | None) -> Page:
    """The names in a folder that sort after `after`, at most `limit`; raises OSError."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name > after]
    except MISSING:
        return Page((), more=False)
    if limit is None:
        return Page(tuple(sorted(names)), more=False)
    return Page(tuple(heapq.nsmallest(limit, names)), more=len(names) > limit)


def files(folder: str, prefix: str) -> Iterator[Entry]:
    """Every file below a folder; its key is `prefix` and its path from there. Raises OSError."""
    waiting = [(folder, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    key = f"{prefix}/{entry.name}"
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, key))
                        else:
                            found = entry.stat()
                            yield Entry(key, found.st_size, found.st_mtime)
                    except FileNotFoundError:
                        continue
        except MISSING:
            continue
