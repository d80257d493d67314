"""The disk driver: objects are files below one folder, which any number of processes may share.

Publishing is temp file, fsync, then rename(2) to replace or link(2) to create, then fsync of the
folder, and of those above it as far as their names are not known to be on the disk. What replaces or
removes an object holds a lock file, so that a comparison stays true until its write. Temp files live in
`temp/`, lock files in `locks/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TypeVar

from storage import folders
from storage.driver import (
    CHUNK,
    PEEKED,
    Entry,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    Page,
    Stat,
    nothing,
)
from storage.files import MISSING, failures_told, opened, seize, step, sync_folder, write_pieces, written
from storage.listing import Listings
from storage.locks import Locks
from storage.pieces import in_one

_TRIES = 1000
_BATCH = 1000

T = TypeVar("T")


class DiskDriver:
    """Keys and bytes below `root`, which is made when it is not there, and the folders `made` below it.

    Every other folder is made when the first object in it comes, which then takes longer.
    """

    remote = False

    def __init__(self, root: Path, made: Collection[str] = ()) -> None:
        self.root = root
        self._prefix = f"{root}{os.sep}"
        self._listings = Listings()
        self._locks = Locks(root / "locks")
        with failures_told():
            folders.make_root(root)
            for name in ("temp", "locks"):
                (root / name).mkdir(exist_ok=True)
            folders.make_all((root / name for name in made), root)

    def peek(self, key: str) -> bytes | None:
        """See `storage.driver.Peek`."""
        try:
            file = os.open(self._prefix + key, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(file, PEEKED)
        except OSError:
            return None
        finally:
            os.close(file)

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        return await self._run((self.root / key).read_bytes, key)

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        found = await self._run((self.root / key).stat, key)
        if stat.S_ISDIR(found.st_mode):
            raise ObjectMissing(key)
        return Stat(size=found.st_size, modified=found.st_mtime)

    async def handle(self, key: str) -> FileIO:
        """See `storage.driver.Opens`."""
        return await self._run(lambda: (self.root / key).open("rb", buffering=0), key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        async with opened(self.root / key, "rb", key) as file:
            if start:
                await step(file.seek(start))
            left = None if end is None else end - start
            while left is None or left > 0:
                piece = await step(file.read(CHUNK if left is None else min(CHUNK, left)))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    async def put(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._run(lambda: self._publish_bytes(key, data, self._rename))

    async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
        """See `storage.driver.Driver`."""

        await self._run(lambda: list(map(self._publish_step, steps)))

    async def create(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._run(lambda: self._create(key, data))

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """See `storage.driver.Driver`."""

        def rename_if_unchanged(temp: Path, key: str) -> None:
            with self._locks.held(key):
                if self._content(key) != expected:
                    raise ObjectChanged(key)
                self._move(temp, key)

        await self._run(lambda: self._publish_bytes(key, data, rename_if_unchanged))

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        whole, pieces = await in_one(source)
        if whole is not None:  # it takes one step
            await self.put(key, whole)
            return len(whole)
        temp = self._temp()
        try:
            async with opened(temp, "xb") as file:
                size = await write_pieces(file, pieces)
                await step(asyncio.to_thread(os.fsync, file.fileno()))
            await step(asyncio.to_thread(self._rename, temp, key))
            return size
        finally:
            await step(asyncio.to_thread(temp.unlink, missing_ok=True))

    async def delete(self, key: str, *, expected: bytes | None = None) -> bool:
        """See `storage.driver.Driver`."""
        return await self._run(lambda: self._unlink(key, expected))

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """See `storage.driver.Driver`."""
        return await self._run(lambda: self._moved(key, target, before))

    async def walk(self, prefix: str) -> AsyncIterator[Entry]:
        """See `storage.driver.Driver`."""
        found = folders.files(self._prefix + prefix, prefix)
        while batch := await self._run(lambda: list(islice(found, _BATCH))):
            for entry in batch:
                yield entry

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        return await self._run(lambda: self._listings.page(self._prefix + prefix, after, limit))

    async def stage(self, key: str) -> None:
        """See `storage.driver.Driver`."""
        await self._run(lambda: self._create_empty(key))

    async def staged(self, key: str) -> int:
        """See `storage.driver.Driver`."""
        return (await self.stat(key)).size

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        path = self.root / key
        async with opened(path, "r+b", key) as file:
            offset = await step(asyncio.to_thread(seize, file.fileno(), path, offset), key)
            await step(file.seek(offset))
            return await write_pieces(file, source, offset)

    def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        return self.read(key)

    async def publish(
        self, key: str, target: str | None, size: int, *, then: Callable[[], Awaitable[object]] = nothing
    ) -> None:
        """See `storage.driver.Driver`."""

        def seize_and_rename() -> None:
            staged = self.root / key
            with staged.open("rb") as file:
                seize(file.fileno(), staged, size)
                if target is None:
                    self._forget(key)
                    return
                try:
                    os.fsync(file.fileno())
                except OSError:
                    # What the system could not write it forgets: the next sync would succeed without it.
                    staged.unlink()
                    raise
                self._rename(staged, target)
            folders.prune(self.root / key, self.root)

        await self._run(seize_and_rename, key)
        await then()

    async def discard(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self._run(lambda: self._forget(key))

    async def sweep(self, before: float) -> None:
        """See `storage.driver.Driver`."""

        await self._run(lambda: folders.remove_older(self.root / "temp", before))

    async def _run(self, work: Callable[[], T], key: str | None = None) -> T:
        with failures_told(key):
            return await asyncio.to_thread(work)

    def _temp(self) -> Path:
        return self.root / "temp" / uuid.uuid4().hex

    def _publish_bytes(self, key: str, data: bytes, place: Callable[[Path, str], None]) -> None:
        with written(self._temp(), data) as temp:
            place(temp, key)

    def _publish_step(self, objects: Mapping[str, bytes]) -> None:
        """Objects that need not wait for one another: a folder is synced once for all of them."""
        with contextlib.ExitStack() as until_placed:
            temps = [until_placed.enter_context(written(self._temp(), data)) for data in objects.values()]
            for key, temp in zip(objects, temps, strict=True):
                with self._locks.held(key):
                    self._move(temp, key, is_synced=False)
            for folder in dict.fromkeys((self.root / key).parent for key in objects):
                with contextlib.suppress(FileNotFoundError):
                    folders.sync(folder, self.root)

    def _create_empty(self, key: str) -> None:
        path = self.root / key
        for _ in range(_TRIES):
            try:
                path.open("xb").close()
            except FileExistsError:
                raise ObjectExists(key) from None
            except FileNotFoundError:
                folders.make(path.parent, self.root)
            else:
                return
        raise OSError(errno.EIO, "the folder cannot be made", str(path.parent))

    def _create(self, key: str, data: bytes) -> None:
        target = self.root / key
        if target.exists():
            # Whoever made it may not have synced its folder yet, and the caller is about to count on it.
            with contextlib.suppress(FileNotFoundError):
                folders.sync(target.parent, self.root)
            raise ObjectExists(key)
        self._publish_bytes(key, data, self._link)

    def _rename(self, temp: Path, key: str) -> None:
        with self._locks.held(key):
            self._move(temp, key)

    def _move(self, temp: Path, key: str, *, is_synced: bool = True) -> None:
        target = self.root / key
        self._in_folder(temp, target.parent, lambda: temp.rename(target), is_synced=is_synced)

    def _link(self, temp: Path, key: str) -> None:
        target = self.root / key

        def link() -> None:
            try:
                os.link(temp, target)
            except FileExistsError:
                folders.sync(target.parent, self.root)
                raise ObjectExists(key) from None

        self._in_folder(temp, target.parent, link)

    def _in_folder(
        self, source: Path, folder: Path, place: Callable[[], object], *, is_synced: bool = True
    ) -> None:
        """Place `source` in a folder, made when it is missing: `delete` may take it away at any time."""
        for _ in range(_TRIES):
            try:
                place()
            except FileNotFoundError:
                if not source.exists():
                    raise
                folders.make(folder, self.root)
            else:
                with contextlib.suppress(FileNotFoundError):
                    if is_synced:
                        folders.sync(folder, self.root)
                return
        raise OSError(errno.EIO, "the folder cannot be made", str(folder))

    def _content(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except MISSING:
            return None

    def _unlink(self, key: str, expected: bytes | None) -> bool:
        path = self.root / key
        with self._locks.held(key):
            if expected is not None and self._content(key) not in (None, expected):
                raise ObjectChanged(key)
            try:
                path.unlink()
            except MISSING:
                return False
        for folder in path.parents:
            # Another `delete` may have taken the folder away: then that has to be on the disk.
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)
                break
        folders.prune(self.root / key, self.root)
        return True

    def _forget(self, key: str) -> bool:
        """Remove a staged object: one that comes back after a power cut is swept as any other."""
        try:
            (self.root / key).unlink()
        except MISSING:
            return False
        folders.prune(self.root / key, self.root)
        return True

    def _moved(self, key: str, target: str, before: float | None) -> bool:
        source = self.root / key
        with self._locks.held(key, target):
            try:
                if before is not None and source.stat().st_mtime >= before:
                    raise ObjectChanged(key)
                os.utime(source)
            except MISSING:
                return False
            self._move(source, target)
            with contextlib.suppress(FileNotFoundError):
                sync_folder(source.parent)
        folders.prune(self.root / key, self.root)
        return True
