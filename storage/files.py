"""Files of a store: what is done to them in threads, and how their failures are told.

A step with an open file is awaited to its end also when the caller is cancelled: closed under a
thread, the file's number may be another file's when the thread comes to use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from io import FileIO
from pathlib import Path
from typing import Literal, TypeVar

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from storage.driver import ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreFull, StoreUnavailable

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What the system raises when there is no file of that name."""

BEHIND = 8 << 20
"""Bytes of a file that the system is told to write to the disk at a time, while more comes."""

_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux has it
_WRITE = 2  # SYNC_FILE_RANGE_WRITE

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

T = TypeVar("T")


@contextlib.asynccontextmanager
async def opened(
    path: Path, mode: Literal["rb", "r+b", "xb"], key: str | None = None
) -> AsyncIterator[AsyncFileIO]:
    """An unbuffered file, whose methods are for `step`; raises as `failures_told` does."""
    file = await step(aiofiles.open(path, mode, buffering=0), key)
    try:
        yield file
    finally:
        await step(file.close())


async def step(work: Awaitable[T], key: str | None = None) -> T:
    """The result of work in a thread, awaited to its end; raises as `failures_told` does."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    with failures_told(key):
        result = running.result()
    if cancelled:
        raise cancelled
    return result


async def write_whole(file: AsyncFileIO, data: bytes) -> int:
    """Write all of `data` and return its size: one call may take a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[await step(file.write(rest)) :]
    return len(data)


async def write_pieces(file: AsyncFileIO, source: AsyncIterator[bytes], offset: int = 0) -> int:
    """Write pieces one after the other from `offset` on, where the file stands; the offset behind the last.

    Of much, what is written goes to the disk while more comes, so that fsync finds little left to do. Raises
    as `failures_told` does.
    """
    begun = offset
    async for piece in source:
        offset += await write_whole(file, piece)
        if offset - begun >= BEHIND:
            await step(asyncio.to_thread(begin_to_sync, file.fileno(), begun, offset - begun))
            begun = offset
    return offset


def begin_to_sync(file: int, start: int, count: int) -> None:
    """Let the system begin to write a part of a file to the disk (sync_file_range(2)): a hint, no promise."""
    if _sync_file_range is not None:
        _sync_file_range(file, ctypes.c_int64(start), ctypes.c_int64(count), _WRITE)


def write_all(file: FileIO, data: bytes) -> None:
    """Write all of `data`: one call may take a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def written(path: Path, data: bytes) -> Iterator[Path]:
    """A new file of these bytes that is on the disk, gone at the end where it still has that name.

    Raises OSError.
    """
    try:
        with path.open("xb", buffering=0) as file:
            write_all(file, data)
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def handle_of(folder: Path) -> Iterator[int]:
    """A folder, open; raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    with handle_of(folder) as handle:
        os.fsync(handle)


def seize(file: int, path: Path, size: int | None) -> int:
    """Lock a staged file that is open, and be sure that it is still the one under its name; its size.

    Raises StageBusy, StageMoved where it has not `size`.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StageBusy from None
    found = os.fstat(file)
    if not os.path.samestat(found, path.stat()):
        raise FileNotFoundError(errno.ENOENT, "the staged object was published or removed")
    if size not in (None, found.st_size):
        raise StageMoved(found.st_size)
    return found.st_size


@contextlib.contextmanager
def failures_told(key: str | None = None) -> Iterator[None]:
    """Failures of the system as StoreFull and StoreUnavailable.

    `key` is the object that is expected to be there, if any: its absence is ObjectMissing.
    """
    try:
        yield
    except OSError as error:
        raise _told(error, key) from error


def _told(error: OSError, key: str | None) -> Exception:
    if key is not None and isinstance(error, MISSING):
        return ObjectMissing(key)
    if error.errno in _FULL:
        return StoreFull(
            "the store is full.", fix="Free space on the storage folder's file system and try again."
        )
    return StoreUnavailable(
        f"the store answers {os.strerror(error.errno or 0)!r}.",
        fix="See the server's log; try again when the storage folder can be read and written.",
    )
