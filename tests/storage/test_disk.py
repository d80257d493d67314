from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from storage import disk, folders, paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import CHUNK, ObjectExists, ObjectMissing, StageBusy, Witness
from storage.errors import StoreFull, StoreUnavailable
from storage.files import sync_folder
from tests.storage.driver_contract import BIG, DriverContract
from tests.storage.folder import InFolder
from tests.storage.streams import collect, failing, outcome, pieces


class Folder(InFolder):
    """A folder as a place (`driver_contract.Place`)."""

    def open(self) -> DiskDriver:
        return DiskDriver(self.root)


class TestContract(DriverContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Folder:
        return Folder(tmp_path / "store")


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "store")


@pytest.fixture
def driver(place: Folder) -> DiskDriver:
    return place.open()


# The layout


async def test_keys_are_paths(driver: DiskDriver, place: Folder) -> None:
    await driver.put("a/b/c", b"x")
    await driver.stage("u/1")
    assert (place.root / "a/b/c").read_bytes() == b"x"
    await driver.delete("a/b/c")
    await driver.delete("u/1")
    assert {path.name for path in place.root.iterdir()} == {"a", "u", "temp", "locks"}
    assert not any((place.root / "a").iterdir())


async def test_folders_that_are_there_before_their_objects(tmp_path: Path) -> None:
    made = paths.blob_folders("sha256")
    assert paths.blob(Digest.of(b"x")).rpartition("/")[0] in made
    for _ in range(2):
        driver = DiskDriver(tmp_path, made)
        assert len([name for name in made if (tmp_path / name).is_dir()]) == 256
    assert (await driver.children("blobs/sha256", limit=2)).names == ("00", "01")
    await driver.put("a/b", b"x")
    assert await driver.get("a/b") == b"x"


async def test_no_more_lock_files_than_their_cap(driver: DiskDriver, place: Folder) -> None:
    for at in range(300):
        await driver.delete(f"a/{at}")
    assert 0 < len(list((place.root / "locks").iterdir())) <= 256


async def test_no_file_stays_open(driver: DiskDriver) -> None:
    def open_files() -> set[str]:
        # The folder that lists them is open too, and gone when it is looked at.
        return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}

    await driver.put_stream("a/big", pieces(BIG))
    reader = driver.read("a/big")
    await anext(reader)
    assert str(driver.root / "a/big") in open_files()
    await reader.aclose()  # type: ignore[attr-defined]
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(b"x"))
    await outcome(driver.extend("u/1", 0, pieces(b"x")))
    await driver.publish("u/1", "a/x", 1)
    await driver.create("a/y", b"")
    await outcome(driver.create("a/y", b""))
    assert not [path for path in open_files() if path.startswith(str(driver.root))]


async def test_sweep_takes_old_folders_of_temporary_files(driver: DiskDriver, place: Folder) -> None:
    for name in ("old", "young"):
        (place.root / "temp" / name).mkdir()
        (place.root / "temp" / name / "file").touch()
    os.utime(place.root / "temp" / "old", (1, 1))
    await driver.sweep(1000)
    assert place.leftovers() == ["young"]


# peek


async def test_a_handle_stays_as_it_is(driver: DiskDriver) -> None:
    await driver.put("a/b", b"content")
    with await driver.handle("a/b") as file:
        await driver.put("a/b", b"other")
        assert file.read() == b"content"
    for key in ("a/c", "a"):
        with pytest.raises(ObjectMissing):
            await driver.handle(key)


async def test_peek(driver: DiskDriver) -> None:
    await driver.put("t/latest", b"one")
    witness = Witness("t/latest", b"one")
    assert (driver.peek("t/latest"), witness.holds(driver)) == (b"one", True)
    await driver.put("t/latest", b"two")
    assert (driver.peek("t/latest"), witness.holds(driver)) == (b"two", False)
    await driver.delete("t/latest")
    assert (driver.peek("t/latest"), witness.holds(driver)) == (None, False)


@pytest.mark.parametrize("key", ["t", "t/none", "none/none", "t/object/below", "t/" + "x" * 300])
async def test_peek_where_no_object_is(driver: DiskDriver, key: str) -> None:
    await driver.put("t/object", b"x")
    assert driver.peek(key) is None


async def test_peek_opens_nothing_for_good(driver: DiskDriver) -> None:
    await driver.put("t/object", b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for key in ("t/object", "t", "none"):
        driver.peek(key)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# What survives a power cut


class Synced:
    """What `os.fsync` was asked for, in order; `after` looks at the store at each call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.paths: list[str] = []
        self.seen: list[bool] = []
        self.watched = root / "b/x/y"
        fsync = os.fsync

        def record(file: int) -> None:
            path = Path(f"/proc/self/fd/{file}").readlink().relative_to(root)
            self.paths.append("temp/…" if path.parent.name == "temp" else str(path))
            self.seen.append(self.watched.exists())
            fsync(file)

        monkeypatch.setattr(os, "fsync", record)


@pytest.fixture
def synced(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> Synced:
    return Synced(monkeypatch, driver.root)


@pytest.mark.parametrize("write", ["put", "create", "put_stream"])
async def test_content_is_synced_then_placed_then_its_folder(
    driver: DiskDriver, synced: Synced, write: str
) -> None:
    await getattr(driver, write)("b/x/y", pieces(b"x") if write == "put_stream" else b"x")
    assert list(zip(synced.paths, synced.seen, strict=True)) == [
        ("temp/…", False), ("b/x", True), ("b", True), (".", True)
    ]  # fmt: skip
    synced.paths.clear()
    await driver.put("b/x/y", b"y")
    assert synced.paths == ["temp/…", "b/x"], "the names of the folders are on the disk"


async def test_in_order_each_is_synced_before_the_next_is_placed(
    driver: DiskDriver, synced: Synced, place: Folder
) -> None:
    for folder in ("a", "b/x"):
        (place.root / folder).mkdir(parents=True)
    await driver.put_in_order([{"a/1": b"1"}, {"b/x/y": b"2"}])
    assert list(zip(synced.paths, synced.seen, strict=True)) == [
        ("temp/…", False), ("a", False), ("temp/…", False), ("b/x", True)
    ]  # fmt: skip


async def test_a_folder_is_synced_once_for_all_of_a_step(
    driver: DiskDriver, synced: Synced, place: Folder
) -> None:
    for folder in ("a", "b"):
        (place.root / folder).mkdir()
    await driver.put_in_order([{"a/1": b"1", "b/1": b"2", "a/2": b"3"}, {}])
    assert synced.paths == [*["temp/…"] * 3, "a", "b"]
    assert [await driver.get(key) for key in ("a/1", "b/1", "a/2")] == [b"1", b"2", b"3"]
    assert list((place.root / "temp").iterdir()) == []


async def test_replace_syncs_as_put_does(driver: DiskDriver, synced: Synced) -> None:
    await driver.put("b/x/y", b"x")
    synced.paths.clear()
    await driver.replace("b/x/y", b"y", b"x")
    assert synced.paths == ["temp/…", "b/x"]


async def test_a_taken_key_is_synced_before_it_is_told(driver: DiskDriver, synced: Synced) -> None:
    await driver.create("b/x/y", b"x")
    synced.paths.clear()
    assert await outcome(driver.create("b/x/y", b"x")) is ObjectExists
    assert synced.paths == ["b/x"]


async def test_delete_syncs_the_folder(driver: DiskDriver, synced: Synced) -> None:
    await driver.put("b/x/y", b"x")
    synced.paths.clear()
    await driver.delete("b/x/y")
    assert (synced.paths, synced.seen[-1]) == (["b/x"], False)


async def test_delete_syncs_what_is_left_of_its_path(
    driver: DiskDriver, synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another delete takes the folders away between our removal and our sync."""
    await driver.put("b/x/y", b"x")
    synced.paths.clear()

    def prune_then_sync(folder: Path) -> None:
        monkeypatch.setattr("storage.disk.sync_folder", sync_folder)
        (driver.root / "b/x").rmdir()
        sync_folder(folder)

    monkeypatch.setattr("storage.disk.sync_folder", prune_then_sync)
    assert await driver.delete("b/x/y")
    assert synced.paths == ["b"]


async def test_an_empty_stage_costs_no_sync(driver: DiskDriver, synced: Synced) -> None:
    await driver.stage("u/1")
    synced.paths.clear()
    await driver.stage("u/2")
    await driver.discard("u/2")
    assert synced.paths == []


async def test_a_stage_is_synced_when_it_is_published(driver: DiskDriver, synced: Synced) -> None:
    await driver.stage("u/1")
    synced.paths.clear()
    synced.seen.clear()
    await driver.extend("u/1", 0, pieces(b"x"))
    await outcome(driver.extend("u/1", 1, failing(KeyError(), b"y")))
    assert synced.paths == [], "what a power cut takes of it, the client sends again"
    await driver.publish("u/1", "b/x/y", 2)
    assert list(zip(synced.paths, synced.seen, strict=True)) == [
        ("u/1", False), ("b/x", True), ("b", True), (".", True)
    ]  # fmt: skip


async def test_a_stage_whose_sync_failed_is_gone(driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sync would succeed, whatever the first one has lost."""
    await furnish(driver)

    def fail(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        assert await outcome(driver.publish("u/1", "a/c", 3)) is StoreUnavailable
    assert await outcome(driver.publish("u/1", "a/c", 3)) is ObjectMissing


# Races, forced


async def test_put_survives_a_delete_before_its_last_sync(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = folders.sync

    def delete_then_sync(folder: Path, root: Path) -> None:
        shutil.rmtree(folder)
        sync(folder, root)

    monkeypatch.setattr(folders, "sync", delete_then_sync)
    await driver.put("a/b/c", b"x")
    assert await outcome(driver.get("a/b/c")) is ObjectMissing


async def test_a_folder_taken_away_again_and_again(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    make = folders.make

    def make_and_prune(folder: Path, root: Path) -> None:
        nonlocal times
        make(folder, root)
        if folder.name == "b" and (times := times + 1) < 5:
            folder.rmdir()

    monkeypatch.setattr(folders, "make", make_and_prune)
    await driver.create("a/b/c", b"x")
    assert (await driver.get("a/b/c"), times) == (b"x", 5)


@pytest.mark.parametrize("comparing", ["replace", "delete"])
@pytest.mark.parametrize("coming", ["put", "delete"])
async def test_nothing_comes_between_a_comparison_and_its_write(
    place: Folder, monkeypatch: pytest.MonkeyPatch, comparing: str, coming: str
) -> None:
    driver, other = place.open(), place.open()
    await driver.put("a/b", b"old")
    read, compared, come = DiskDriver._content, threading.Event(), threading.Event()

    def read_and_wait(self: DiskDriver, key: str) -> bytes | None:
        found = read(self, key)
        compared.set()
        come.wait(0.2)
        return found

    monkeypatch.setattr(DiskDriver, "_content", read_and_wait)
    work = (
        driver.replace("a/b", b"new", b"old")
        if comparing == "replace"
        else driver.delete("a/b", expected=b"old")
    )
    task = asyncio.create_task(outcome(work))
    await asyncio.to_thread(compared.wait, 5)
    await (other.put("a/b", b"put") if coming == "put" else other.delete("a/b"))
    come.set()
    await task
    assert await outcome(driver.get("a/b")) == (b"put" if coming == "put" else ObjectMissing)


async def test_a_folder_that_cannot_be_made_is_no_endless_loop(driver: DiskDriver) -> None:
    (driver.root / "a").symlink_to(driver.root / "not-mounted")
    with pytest.raises(StoreUnavailable):
        await driver.put("a/b/c", b"x")


@pytest.mark.parametrize("again", [False, True], ids=["published", "published and staged anew"])
@pytest.mark.parametrize("work", ["extend", "publish"])
async def test_a_stage_that_is_published_between_opening_and_locking_it(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch, work: str, again: bool
) -> None:
    await furnish(driver)
    seize = disk.seize

    def publish_then_seize(file: int, path: Path, size: int) -> None:
        path.rename(driver.root / "a/published")
        if again:
            path.write_bytes(b"two")
        seize(file, path, size)

    monkeypatch.setattr(disk, "seize", publish_then_seize)
    doing = (
        driver.extend("u/1", 3, pieces(b"more")) if work == "extend" else driver.publish("u/1", "a/other", 3)
    )
    assert await outcome(doing) is ObjectMissing
    assert await driver.get("a/published") == b"one"
    assert await outcome(driver.get("a/other")) is ObjectMissing


async def test_a_cancelled_writer_keeps_its_lock_until_its_thread_is_done(
    place: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, other = place.open(), place.open()
    await driver.stage("u/1")
    began, go, seize = threading.Event(), threading.Event(), disk.seize

    def slow(file: int, path: Path, size: int) -> None:
        seize(file, path, size)
        began.set()
        go.wait(5)
        os.fstat(file)

    monkeypatch.setattr(disk, "seize", slow)
    task = asyncio.create_task(driver.extend("u/1", 0, pieces(b"x")))
    await asyncio.to_thread(began.wait, 5)
    monkeypatch.undo()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    found = await outcome(other.extend("u/1", 0, pieces(b"y"))), task.done()
    go.set()
    assert found == (StageBusy, False)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await other.extend("u/1", 0, pieces(b"y")) == 1


# Failures of the system

Write = Callable[[DiskDriver], Awaitable[object]]

WRITES: dict[str, Write] = {
    "put": lambda driver: driver.put("a/b", b"new"),
    "put_in_order": lambda driver: driver.put_in_order([{"a/b": b"new"}, {"a/c": b"new"}]),
    "create": lambda driver: driver.create("a/new", b"new"),
    "replace": lambda driver: driver.replace("a/b", b"new", b"old"),
    "put_stream": lambda driver: driver.put_stream("a/b", pieces(b"new")),
    "delete": lambda driver: driver.delete("a/b"),
    "stage": lambda driver: driver.stage("u/2"),
    "extend": lambda driver: driver.extend("u/1", 3, pieces(b"new")),
    "publish": lambda driver: driver.publish("u/1", "a/b", 3),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
SYNCING = {name: write for name, write in WRITES.items() if name not in ("stage", "extend")}


async def furnish(driver: DiskDriver) -> None:
    """What WRITES work with."""
    await driver.put("a/b", b"old")
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(b"one"))


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.EIO, StoreUnavailable), (errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull)],
    ids=["EIO", "ENOSPC", "EDQUOT"],
)
@pytest.mark.parametrize("write", SYNCING.values(), ids=SYNCING)
async def test_a_sync_that_fails(
    driver: DiskDriver,
    place: Folder,
    monkeypatch: pytest.MonkeyPatch,
    write: Write,
    number: int,
    told: type[Exception],
) -> None:
    await furnish(driver)

    def fail(file: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(told) as raised:
            await write(driver)
    assert str(raised.value)
    assert place.leftovers() == []
    assert await outcome(driver.get("a/b")) in (b"old", ObjectMissing)
    await driver.put("a/b", b"goes on")
    assert await driver.get("a/b") == b"goes on"


@pytest.fixture
def file_limit() -> Iterator[int]:
    """No file may grow over this size: a write is short first, and then refused."""
    limit = 300_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", ["put", "create", "put_stream"])
async def test_a_write_that_is_cut_short(
    driver: DiskDriver, place: Folder, file_limit: int, write: str
) -> None:
    data = BIG[: file_limit + 1]
    with pytest.raises(StoreFull):
        await getattr(driver, write)("a/b", pieces(data) if write == "put_stream" else data)
    assert await outcome(driver.get("a/b")) is ObjectMissing
    assert place.leftovers() == []


async def test_a_stage_keeps_what_was_written_before_the_store_was_full(
    driver: DiskDriver, file_limit: int
) -> None:
    await driver.stage("u/1")
    with pytest.raises(StoreFull):
        await driver.extend("u/1", 0, pieces(BIG[:200_000], BIG[200_000:CHUNK]))
    assert await driver.staged("u/1") == file_limit
    assert await collect(driver.read_staged("u/1")) == BIG[:file_limit]


async def test_a_full_disk(small_disk: Path) -> None:
    place = Folder(small_disk)
    driver = place.open()
    await driver.put("a/kept", b"kept")
    await driver.stage("u/1")
    with pytest.raises(StoreFull) as raised:
        await driver.put_stream("a/big", pieces(BIG))
    assert "full" in str(raised.value)
    assert place.leftovers() == []
    with pytest.raises(StoreFull):
        await driver.extend("u/1", 0, pieces(BIG))
    with pytest.raises(StoreFull):
        await driver.put("a/small", b"x" * 8192)
    assert await driver.get("a/kept") == b"kept"
    assert await driver.discard("u/1")
    await driver.put("a/small", b"x" * 8192)


@each_write
async def test_a_disk_that_became_read_only(small_disk: Path, write: Write) -> None:
    driver = DiskDriver(small_disk)
    await furnish(driver)
    remount = await asyncio.create_subprocess_exec("mount", "-o", "remount,ro", small_disk)
    assert await remount.wait() == 0
    with pytest.raises(StoreUnavailable):
        await write(driver)
    assert await driver.get("a/b") == b"old"
    with pytest.raises(StoreUnavailable):
        DiskDriver(small_disk / "another")


@pytest.mark.parametrize(
    "write", [work for name, work in WRITES.items() if name not in ("extend", "publish")]
    + [lambda driver: driver.sweep(0.0)],
    ids=[name for name in WRITES if name not in ("extend", "publish")] + ["sweep"],
)  # fmt: skip
async def test_a_store_that_was_taken_away_is_not_an_object_that_is_missing(
    driver: DiskDriver, write: Write
) -> None:
    await furnish(driver)
    shutil.rmtree(driver.root)
    with pytest.raises(StoreUnavailable):
        await write(driver)
    assert not driver.root.exists()


@pytest.mark.parametrize("root", ["file", "file/below"])
def test_a_folder_that_cannot_be_had(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        DiskDriver(tmp_path / root)


@pytest.mark.parametrize("key", ["a/b", "a/b/c/d"], ids=["a folder", "below an object"])
async def test_a_key_that_is_a_folder_of_another(driver: DiskDriver, place: Folder, key: str) -> None:
    await driver.put("a/b/c", b"x")
    assert await outcome(driver.put(key, b"y")) is StoreUnavailable
    assert await outcome(driver.create(key, b"y")) in (StoreUnavailable, ObjectExists)
    assert await driver.get("a/b/c") == b"x"
    assert place.leftovers() == []


# Several processes

COUNTER = """
import asyncio, sys
from pathlib import Path
from storage import disk
from storage.disk import DiskDriver
from storage.driver import ObjectChanged, ObjectExists

async def main() -> None:
    driver = DiskDriver(Path(sys.argv[1]))
    for _ in range(40):
        while True:
            before = await driver.get("a/count")
            try:
                await driver.replace("a/count", b"%d" % (int(before) + 1), before)
                break
            except ObjectChanged:
                pass
    won = 0
    for at in range(40):
        try:
            await driver.create(f"b/c/{at}", sys.argv[2].encode())
            won += 1
        except ObjectExists:
            pass
    print(won)

asyncio.run(main())
"""

WRITER = """
import asyncio, sys
from pathlib import Path
from storage import disk
from storage.disk import DiskDriver

async def source():
    yield b"acknow"
    print("open", flush=True)
    await asyncio.Event().wait()

async def main() -> None:
    driver = DiskDriver(Path(sys.argv[1]))
    await driver.extend("u/1", 0, source())

asyncio.run(main())
"""


async def script(text: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, *words, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )


async def test_processes_share_a_store(driver: DiskDriver, place: Folder) -> None:
    await driver.put("a/count", b"0")
    processes = [await script(COUNTER, str(place.root), str(at)) for at in range(2)]
    printed = await asyncio.gather(*(process.communicate() for process in processes))
    assert await driver.get("a/count") == b"80"
    assert sum(int(out) for out, _ in printed) == 40
    assert place.leftovers() == []


async def test_a_process_goes_on_where_another_was_killed(driver: DiskDriver, place: Folder) -> None:
    await driver.stage("u/1")
    process = await script(WRITER, str(place.root))
    assert process.stdout
    assert await process.stdout.readline() == b"open\n"
    assert await outcome(driver.extend("u/1", 6, pieces(b"x"))) is StageBusy
    assert await outcome(driver.publish("u/1", "b/x", 6)) is StageBusy
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert await driver.extend("u/1", 6, pieces(b"ledged")) == 12
    await driver.publish("u/1", "b/x", 12)
    assert await driver.get("b/x") == b"acknowledged"
