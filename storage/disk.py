"""The disk driver: objects are files below one folder, which any number of processes may share.

Publishing is temp file, fsync, then rename(2) to replace or link(2) to create, then fsync of the
folder. A read-compare-write holds a lock file. Temp files live in `temp/`, lock files in `locks/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import heapq
import os
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import TypeVar

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from storage.driver import (
    CHUNK,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    Page,
    StageBusy,
    StageMoved,
    Stat,
)
from storage.errors import StoreFull, StoreUnavailable

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_MISSING = (FileNotFoundError, NotADirectoryError)
_LOCKS = 256

T = TypeVar("T")


class DiskDriver:
    """Keys and bytes below `root`, which is made when it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}{os.sep}"
        with _failures_told("the storage folder"):
            for name in ("temp", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)

    def peek(self, key: str) -> bytes | None:
        """See `storage.driver.Peek`."""
        try:
            file = os.open(self._prefix + key, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(file, CHUNK)
        except OSError:
            return None
        finally:
            os.close(file)

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        return await self._run(key, (self.root / key).read_bytes)

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        found = await self._run(key, (self.root / key).stat)
        return Stat(size=found.st_size, modified=found.st_mtime)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        with _failures_told(key):
            async with aiofiles.open(self.root / key, "rb", buffering=0) as file:
                if start:
                    await file.seek(start)
                left = None if end is None else end - start
                while left is None or left > 0:
                    piece = await file.read(CHUNK if left is None else min(CHUNK, left))
                    if not piece:
                        return
                    left = None if left is None else left - len(piece)
                    yield piece

    async def put(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._run(key, lambda: self._publish_bytes(key, data, self._rename))

    async def create(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._run(key, lambda: self._publish_bytes(key, data, self._link))

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """See `storage.driver.Driver`."""

        def compare_and_write() -> None:
            with self._locked(key):
                try:
                    found = (self.root / key).read_bytes()
                except _MISSING:
                    raise ObjectChanged(key) from None
                if found != expected:
                    raise ObjectChanged(key)
                self._publish_bytes(key, data, self._rename)

        await self._run(key, compare_and_write)

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        temp = self._temp()
        size = 0
        try:
            async with aiofiles.open(temp, "xb", buffering=0) as file:
                async for piece in source:
                    with _failures_told(key):
                        await _write_whole(file, piece)
                    size += len(piece)
                await self._run(key, lambda: os.fsync(file.fileno()))
            await self._run(key, lambda: self._rename(temp, key))
            return size
        except OSError as error:
            raise _told(error, key) from error
        finally:
            await asyncio.shield(asyncio.to_thread(temp.unlink, missing_ok=True))

    async def delete(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self._run(key, lambda: self._unlink(key))

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        return await self._run(prefix, lambda: self._scan(prefix, after, limit))

    async def stage(self, key: str) -> None:
        """See `storage.driver.Driver`."""
        await self._run(key, lambda: self._publish_bytes(key, b"", self._link))

    async def staged(self, key: str) -> int:
        """See `storage.driver.Driver`."""
        return (await self.stat(key)).size

    async def extend(self, key: str, offset: int, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        with _failures_told(key):
            path = self.root / key
            async with aiofiles.open(path, "r+b", buffering=0) as file:
                await self._run(key, lambda: _seize(file.fileno(), path, offset))
                await file.seek(offset)
                try:
                    async for piece in source:
                        await _write_whole(file, piece)
                        offset += len(piece)
                finally:
                    await asyncio.shield(self._run(key, lambda: os.fsync(file.fileno())))
        return offset

    def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        return self.read(key)

    async def publish(self, key: str, target: str, size: int) -> None:
        """See `storage.driver.Driver`."""

        def seize_and_rename() -> None:
            staged = self.root / key
            with staged.open("rb") as file:
                _seize(file.fileno(), staged, size)
                self._rename(staged, target)
            self._prune(key)

        await self._run(key, seize_and_rename)

    async def discard(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self.delete(key)

    async def sweep(self, before: float) -> None:
        """See `storage.driver.Driver`."""

        def remove_old_temps() -> None:
            for temp in (self.root / "temp").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if temp.stat().st_mtime < before:
                        temp.unlink()

        await self._run("temp", remove_old_temps)

    async def _run(self, key: str, work: Callable[[], T]) -> T:
        with _failures_told(key):
            return await asyncio.to_thread(work)

    def _temp(self) -> Path:
        return self.root / "temp" / uuid.uuid4().hex

    def _publish_bytes(self, key: str, data: bytes, place: Callable[[Path, str], None]) -> None:
        temp = self._temp()
        try:
            with temp.open("xb", buffering=0) as file:
                _write_all(file, data)
                os.fsync(file.fileno())
            place(temp, key)
        finally:
            temp.unlink(missing_ok=True)

    def _rename(self, temp: Path, key: str) -> None:
        target = self.root / key
        self._in_folder(temp, target.parent, lambda: temp.rename(target))

    def _link(self, temp: Path, key: str) -> None:
        target = self.root / key

        def link() -> None:
            try:
                os.link(temp, target)
            except FileExistsError:
                _sync_folder(target.parent)
                raise ObjectExists(key) from None

        self._in_folder(temp, target.parent, link)

    def _in_folder(self, source: Path, folder: Path, place: Callable[[], object]) -> None:
        """Place `source` in a folder, made when it is missing: `delete` may take it away at any time."""
        while True:
            try:
                place()
            except FileNotFoundError:
                if not source.exists():
                    raise
                self._make_folder(folder)
            else:
                _sync_folder(folder)
                return

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder.parent != self.root:
            self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            folder.mkdir()
            _sync_folder(folder.parent)

    def _unlink(self, key: str) -> bool:
        path = self.root / key
        try:
            path.unlink()
        except _MISSING:
            return False
        with contextlib.suppress(FileNotFoundError):
            _sync_folder(path.parent)
        self._prune(key)
        return True

    def _prune(self, key: str) -> None:
        """Remove the folders that an object was the last in."""
        with contextlib.suppress(OSError):
            for folder in (self.root / key).parents:
                if folder.parent == self.root:
                    break
                folder.rmdir()

    def _scan(self, prefix: str, after: str, limit: int | None) -> Page:
        try:
            with os.scandir(self.root / prefix) as entries:
                names = [entry.name for entry in entries if entry.name > after]
        except _MISSING:
            return Page((), more=False)
        if limit is None:
            return Page(tuple(sorted(names)), more=False)
        return Page(tuple(heapq.nsmallest(limit, names)), more=len(names) > limit)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        with (self.root / "locks" / f"{zlib.crc32(key.encode()) % _LOCKS:02x}").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _seize(file: int, path: Path, size: int) -> None:
    """Lock a staged file that is open, and be sure that it is still the one under its name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StageBusy from None
    found = os.fstat(file)
    if not os.path.samestat(found, path.stat()):
        raise FileNotFoundError(errno.ENOENT, "the staged object was published or removed")
    if found.st_size != size:
        raise StageMoved(found.st_size)


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


async def _write_whole(file: AsyncFileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[await file.write(rest) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _failures_told(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _told(error, key) from error


def _told(error: OSError, key: str) -> Exception:
    if isinstance(error, _MISSING):
        return ObjectMissing(key)
    if error.errno in _FULL:
        return StoreFull(
            "the store is full.", fix="Free space on the storage folder's file system and try again."
        )
    return StoreUnavailable(
        f"the store answers {os.strerror(error.errno or 0)!r}.",
        fix="See the server's log; try again when the storage folder can be read and written.",
    )
