"""Folders of a disk: made and removed with what is in them, listed, walked."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from storage.driver import Entry
from storage.files import MISSING, handle_of, sync_folder

_NAMED = stat.S_IXOTH
"""Set in the mode of a folder whose name is on the disk, as are those of the folders above it."""


def make(folder: Path, root: Path) -> None:
    """Make a folder below `root`, where it is missing; it may be gone again when this returns.

    A power cut may take it until `sync` has returned.
    """
    if folder.is_dir():
        return
    if folder.parent != root:
        make(folder.parent, root)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        folder.mkdir(0o777 & ~_NAMED)


def make_root(root: Path) -> None:
    """Make the folder of a store, where it is missing, and let its name survive a power cut."""
    missing = [folder for folder in root.parents if not folder.is_dir()]
    root.mkdir(parents=True, exist_ok=True)
    for folder in (root, *missing):
        # Who may not read the folder above has not made this one.
        with contextlib.suppress(PermissionError):
            sync_folder(folder.parent)


def make_all(made: Iterable[Path], root: Path) -> None:
    """Make folders below `root`, where they are missing, and let their names survive a power cut."""
    made = list(made)
    for folder in made:
        make(folder, root)
    with contextlib.ExitStack() as until_done:
        new = [
            handle for folder in made if not _is_named(handle := until_done.enter_context(handle_of(folder)))
        ]
        if new:
            for parent in {folder.parent for folder in made}:
                sync(parent, root)
        for handle in new:
            _note_named(handle)


def sync(folder: Path, root: Path) -> None:
    """Let the names in a folder survive a power cut, and its own below `root`, whichever writer made it."""
    with handle_of(folder) as handle:
        os.fsync(handle)
        if folder != root and not _is_named(handle):
            sync(folder.parent, root)
            _note_named(handle)


def _is_named(handle: int) -> bool:
    return bool(os.fstat(handle).st_mode & _NAMED)


def _note_named(handle: int) -> None:
    # By its handle: another writer may have removed the folder meanwhile, and made one of the same name.
    with contextlib.suppress(OSError):
        os.fchmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) | _NAMED)


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


def names(folder: str) -> list[str]:
    """The names in a folder, in no order; raises OSError."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


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
