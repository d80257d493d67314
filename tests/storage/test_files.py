from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from storage import files
from storage.driver import ObjectMissing
from storage.errors import RegistryError, StoreFull, StoreUnavailable
from storage.files import failures_told, opened, step, write_pieces, write_whole
from tests.storage.streams import pieces

FAILURES: dict[str, tuple[OSError, type[Exception], type[Exception]]] = {
    "ENOENT": (FileNotFoundError(errno.ENOENT, ""), ObjectMissing, StoreUnavailable),
    "ENOTDIR": (NotADirectoryError(errno.ENOTDIR, ""), ObjectMissing, StoreUnavailable),
    "EISDIR": (IsADirectoryError(errno.EISDIR, ""), ObjectMissing, StoreUnavailable),
    "ENOSPC": (OSError(errno.ENOSPC, ""), StoreFull, StoreFull),
    "EDQUOT": (OSError(errno.EDQUOT, ""), StoreFull, StoreFull),
    "EFBIG": (OSError(errno.EFBIG, ""), StoreFull, StoreFull),
    "EIO": (OSError(errno.EIO, ""), StoreUnavailable, StoreUnavailable),
    "EACCES": (PermissionError(errno.EACCES, ""), StoreUnavailable, StoreUnavailable),
    "EROFS": (OSError(errno.EROFS, ""), StoreUnavailable, StoreUnavailable),
    "EMFILE": (OSError(errno.EMFILE, ""), StoreUnavailable, StoreUnavailable),
    "ENAMETOOLONG": (OSError(errno.ENAMETOOLONG, ""), StoreUnavailable, StoreUnavailable),
    "without a number": (OSError("x"), StoreUnavailable, StoreUnavailable),
}


@pytest.mark.parametrize(("error", "expecting", "else_"), FAILURES.values(), ids=FAILURES)
def test_failures(error: OSError, expecting: type[Exception], else_: type[Exception]) -> None:
    for key, told in (("a/b", expecting), (None, else_)):
        with pytest.raises(told) as raised, failures_told(key):
            raise error
        assert raised.value.__cause__ is error
        assert not isinstance(raised.value, RegistryError) or raised.value.fix


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), failures_told("a/b"):
        raise KeyError


async def test_a_step_that_is_cancelled_is_awaited_to_its_end(tmp_path: Path) -> None:
    began, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go.wait(5)
        done.set()

    task = asyncio.create_task(step(asyncio.to_thread(work)))
    await asyncio.to_thread(began.wait, 5)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_a_step_that_fails_when_it_is_cancelled(tmp_path: Path) -> None:
    task = asyncio.create_task(step(asyncio.to_thread((tmp_path / "none").read_bytes), "none"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises((ObjectMissing, asyncio.CancelledError)):
        await task


async def test_a_time_out_around_a_step_is_still_a_time_out() -> None:
    go = threading.Event()
    asyncio.get_running_loop().call_later(0.05, go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await step(asyncio.to_thread(go.wait, 5))


async def test_writing_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "new", "xb") as file:
        assert [await write_whole(file, data) for data in (b"one", b"", b"two")] == [3, 0, 3]
    assert (tmp_path / "new").read_bytes() == b"onetwo"
    with pytest.raises(StoreUnavailable):
        async with opened(tmp_path / "new", "xb"):
            pass
    with pytest.raises(ObjectMissing):
        async with opened(tmp_path / "none", "rb", "none"):
            pass


async def test_much_goes_to_the_disk_while_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BEHIND", 4)
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "begin_to_sync", lambda file, start, count: begun.append((start, count)))
    async with opened(tmp_path / "new", "xb") as file:
        assert await write_pieces(file, pieces(b"ab", b"cd", b"", b"efghi", b"j")) == 10
        assert await write_pieces(file, pieces(b"k"), 10) == 11
    assert begun == [(0, 4), (4, 5)]
    assert (tmp_path / "new").read_bytes() == b"abcdefghijk"


def test_to_begin_to_sync_is_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new"
    path.write_bytes(b"x" * 10_000)
    with path.open("rb") as file:
        files.begin_to_sync(file.fileno(), 0, 10_000)
        files.begin_to_sync(file.fileno(), 1 << 40, 10_000)
        monkeypatch.setattr(files, "_sync_file_range", None)
        files.begin_to_sync(file.fileno(), 0, 10_000)
    assert path.stat().st_size == 10_000
