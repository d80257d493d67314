from __future__ import annotations

import asyncio
import bisect
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from storage import folders, listing, paths, records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Page
from storage.listing import Listings, Names
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.store import Store
from tests.storage.conftest import LIMIT

LONG_AGO = 10**18
NAMED = ("b", "a.b", "a", "ab", "A", "a-b")


class Reads:
    """Counts how often folders are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.before: Callable[[], object] = lambda: None
        self._names = folders.names
        monkeypatch.setattr(folders, "names", self._counted)

    def _counted(self, folder: str) -> list[str]:
        self.count += 1
        self.before()
        return self._names(folder)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def every_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small folders are remembered too."""
    monkeypatch.setattr(listing, "WORTH", 0)


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder has been at rest for long enough."""
    monkeypatch.setattr(listing, "REST", -(10**18))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "folder"
    made.mkdir()
    for name in NAMED:
        (made / name).touch()
    os.utime(made, (1, 1))  # a kernel may not tell a change from one that was in the same tick
    return str(made)


@pytest.mark.parametrize("worth", [0, 1000], ids=["remembered", "small"])
@pytest.mark.parametrize(
    ("after", "limit", "names", "more"),
    [
        ("", None, ("A", "a", "a-b", "a.b", "ab", "b"), False),
        ("a", None, ("a-b", "a.b", "ab", "b"), False),
        ("", 2, ("A", "a"), True),
        ("", 6, ("A", "a", "a-b", "a.b", "ab", "b"), False),
        ("a", 2, ("a-b", "a.b"), True),
        ("a-", 2, ("a-b", "a.b"), True),
        ("a.b", 2, ("ab", "b"), False),
        ("a/", 2, ("ab", "b"), False),
        ("b", 2, (), False),
        ("~", None, (), False),
        ("", 0, (), True),
        ("b", 0, (), False),
    ],
)
def test_pages(
    folder: str, after: str, limit: int | None, names: tuple[str, ...], more: bool, worth: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(listing, "WORTH", worth)
    listings = Listings()
    for _ in range(2):
        assert listings.page(folder, after, limit) == Page(names, more)


@given(st.sets(st.text("aäb.-\udc80\U0001f600", min_size=1)), st.text("aäb.-/"), st.integers(0, 8))
def test_names_are_pages_of_what_is_sorted(held: set[str], after: str, limit: int) -> None:
    ordered, names = sorted(held), Names(held)
    first = bisect.bisect_right(ordered, after) if after else 0
    assert len(names) == len(ordered)
    for most in (limit, None):
        following = ordered[first:] if most is None else ordered[first : first + most]
        assert names.page(after, most) == Page(
            tuple(following), more=most is not None and len(ordered) > first + most
        )


def test_little_memory() -> None:
    assert Names(f"v1.{number}.0-rc1" for number in range(100_000)).bytes < 3_000_000


@pytest.mark.usefixtures("every_folder", "at_rest")
def test_what_did_not_change_is_read_once(folder: str, reads: Reads) -> None:
    listings = Listings()
    for _ in range(5):
        assert listings.page(folder, "a", 1).names == ("a-b",)
    assert reads.count == 1


def test_small_folders_are_read_each_time(folder: str, reads: Reads) -> None:
    listings = Listings()
    for _ in range(3):
        listings.page(folder, "", 1)
    assert reads.count == 3
    assert listings._kept == {}


@pytest.mark.usefixtures("every_folder", "at_rest")
@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda path: (path / "new").touch(), (*sorted(NAMED), "new")),
        (lambda path: (path / "a").unlink(), ("A", "a-b", "a.b", "ab", "b")),
        (lambda path: (path / "a").rename(path / "z"), ("A", "a-b", "a.b", "ab", "b", "z")),
        (lambda path: (path / "folder").mkdir(), (*sorted((*NAMED, "folder")),)),
        (lambda path: path.rename(path.with_name("gone")), ()),
        (lambda path: (path.rename(path.with_name("old")), path.mkdir(), (path / "x").touch()), ("x",)),
    ],
    ids=["comes", "goes", "is renamed", "a folder comes", "the folder goes", "another folder"],
)
def test_changes_are_seen_by_every_process(
    folder: str, change: Callable[[Path], object], names: tuple[str, ...]
) -> None:
    listings = [Listings(), Listings()]
    for each in listings:
        assert each.page(folder, "", None).names == tuple(sorted(NAMED))
    change(Path(folder))
    for each in listings:
        assert each.page(folder, "", None) == Page(names, more=False)


@pytest.mark.usefixtures("every_folder", "at_rest")
def test_a_time_that_is_set_back_hides_nothing(folder: str) -> None:
    listings = Listings()
    before = Path(folder).stat()
    listings.page(folder, "", None)
    (Path(folder) / "new").touch()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "new" in listings.page(folder, "", None).names


@pytest.mark.usefixtures("every_folder")
@pytest.mark.parametrize(
    ("ago", "seen"), [(0, True), (listing.REST - 10**9, True), (listing.REST * 2, False)]
)
def test_a_change_in_the_tick_of_the_one_before(
    folder: str, ago: int, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is the same before and after: only that it was at rest for long makes it trusted."""
    state = listing._state(folder)
    monkeypatch.setattr(listing, "_state", lambda _: state)
    monkeypatch.setattr("time.time_ns", lambda: state[1] + ago)
    listings = Listings()
    listings.page(folder, "", None)
    (Path(folder) / "new").touch()
    assert ("new" in listings.page(folder, "", None).names) == seen


@pytest.mark.usefixtures("every_folder", "at_rest")
@pytest.mark.parametrize("name", ["none", "file", "file/below"])
def test_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert Listings().page(str(tmp_path / name), "", None) == Page((), more=False)


@pytest.mark.usefixtures("every_folder", "at_rest")
def test_what_is_remembered_is_bounded(tmp_path: Path, reads: Reads) -> None:
    made = [tmp_path / str(number) for number in range(6)]
    for path in made:
        path.mkdir()
        for name in range(50):
            (path / f"tag-{name}").touch()
    one = Names([f"tag-{name}" for name in range(50)]).bytes
    listings = Listings(most=3 * one)
    for path in made[:4]:
        listings.page(str(path), "", 1)
    listings.page(str(made[1]), "", 1)
    listings.page(str(made[4]), "", 1)
    assert (list(listings._kept), listings._taken) == ([str(made[at]) for at in (3, 1, 4)], 3 * one)
    assert reads.count == 5
    listings.page(str(made[0]), "", 1)
    assert reads.count == 6
    for path in made:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
        listings.page(str(path), "", 1)
    assert (len(listings._kept), listings._taken) == (0, 0)
    assert len(Listings(most=one - 1).page(str(tmp_path), "", None).names) == 0


@pytest.mark.usefixtures("every_folder")
def test_of_a_herd_one_reads(folder: str, reads: Reads) -> None:
    """One reads; eight more come, and see what comes now: of them one reads too."""
    begun, go, waiting = threading.Event(), threading.Event(), threading.Semaphore(0)

    class Told(Listings):
        def _read_once(self, folder: str, asked: int) -> Names | list[str]:
            waiting.release()
            return super()._read_once(folder, asked)

    def hold() -> None:
        begun.set()
        assert go.wait(30)

    listings = Told()
    reads.before = hold
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(listings.page, folder, "", None)
        assert begun.wait(30)
        (Path(folder) / "new").touch()
        others = [pool.submit(listings.page, folder, "", None) for _ in range(8)]
        for _ in range(9):
            assert waiting.acquire(timeout=30)
        go.set()
        assert set(NAMED) <= set(first.result().names)
        assert all("new" in other.result().names for other in others)
    assert reads.count == 2


@pytest.mark.usefixtures("every_folder", "unsynced")
async def test_two_processes_and_no_rest(tmp_path: Path) -> None:
    """Whatever one has written, the other one lists at once."""
    one, other = DiskDriver(tmp_path), DiskDriver(tmp_path)
    wanted: set[str] = set()
    for number in range(150):
        if number % 3 == 2:
            await one.delete(f"t/{number - 1}")
            wanted.discard(str(number - 1))
        else:
            await one.put(f"t/{number}", b"")
            wanted.add(str(number))
        assert (await other.children("t")).names == tuple(sorted(wanted))


# Against a model

NAMES = st.text("ab-._0", min_size=1, max_size=4).filter(lambda name: name[0] not in "-._")
SEGMENTS = st.from_regex(r"[ab0]{1,2}([-._][ab0]{1,2})?", fullmatch=True)
REPOSITORIES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
ONE = Descriptor(OCI_MANIFEST, Digest.of(b"1"), 1)


class Model(RuleBasedStateMachine):
    """Tags and repositories that come and go by two processes, listed by a third."""

    folder = ""

    def __init__(self) -> None:
        super().__init__()
        root = Path(mkdtemp(dir=self.folder))
        self.stores = [Store(DiskDriver(root), upload_limit=LIMIT) for _ in range(3)]
        self.driver = DiskDriver(root)
        self.tags: set[str] = set()
        self.repositories: set[str] = set()

    @rule(name=NAMES, which=st.integers(0, 1))
    def tag(self, name: str, which: int) -> None:
        asyncio.run(self.stores[which].repository("team/a").tags.put(name, ONE))
        self.tags.add(name)

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), which=st.integers(0, 1))
    def untag(self, data: st.DataObject, which: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        asyncio.run(self.stores[which].repository("team/a").tags.delete(name))
        self.tags.remove(name)

    @rule(name=REPOSITORIES)
    def enter(self, name: str) -> None:
        asyncio.run(self.driver.put(paths.catalog(name), b""))
        self.repositories.add(name)

    @precondition(lambda self: self.repositories)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.repositories)))
        asyncio.run(self.driver.delete(paths.catalog(name)))
        self.repositories.remove(name)

    @rule()
    def rest(self) -> None:
        """What is remembered becomes what is trusted."""
        threading.Event().wait(0.03)

    @rule(after=st.one_of(st.just(""), NAMES), limit=st.integers(0, 5), which=st.integers(0, 2))
    def page_of_tags(self, after: str, limit: int, which: int) -> None:
        page = asyncio.run(self.stores[which].repository("team/a").tags.page(after=after, limit=limit))
        following = sorted(name for name in self.tags if name > after)
        assert (list(page.names), page.more) == (following[:limit], len(following) > limit)

    @rule(after=st.one_of(st.just(""), REPOSITORIES), limit=st.integers(0, 5), which=st.integers(0, 2))
    def page_of_repositories(self, after: str, limit: int, which: int) -> None:
        page = asyncio.run(self.stores[which].catalog(after=after, limit=limit))
        following = sorted(name for name in self.repositories if name > after)
        assert (list(page.names), page.more) == (following[:limit], len(following) > limit)

    @invariant()
    def all_is_listed(self) -> None:
        store = self.stores[2]
        assert list(asyncio.run(store.repository("team/a").tags.page()).names) == sorted(self.tags)
        assert list(asyncio.run(store.catalog()).names) == sorted(self.repositories)


@pytest.mark.slow
@pytest.mark.usefixtures("every_folder", "unsynced")
def test_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "REST", 20_000_000)
    monkeypatch.setattr(Model, "folder", str(tmp_path))
    Model.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
    Model.TestCase().runTest()


# Many

COUNT = 100_000


def numbered(folder: Path, names: list[str], content: bytes) -> None:
    """Write that many objects as fast as files can be made."""
    folder.mkdir(parents=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        for name in names:
            file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle)
            os.write(file, content)
            os.close(file)
    finally:
        os.close(handle)


@pytest.mark.slow
@pytest.mark.usefixtures("at_rest")
async def test_all_pages_of_many_tags_cost_one_reading(tmp_path: Path, reads: Reads) -> None:
    driver = DiskDriver(tmp_path)
    names = [f"v1.{number}.0" for number in range(COUNT)]
    numbered(tmp_path / paths.tags("team/a"), names, records.write_descriptor(ONE))
    store = Store(driver, upload_limit=LIMIT)
    tags = store.repository("team/a").tags
    found: list[str] = []
    more = True
    while more:
        page = await tags.page(after=found[-1] if found else "", limit=100)
        found += page.names
        more = page.more
    assert found == sorted(names)
    assert reads.count == 1
    await tags.put("v1.5.0-new", ONE)
    assert (await tags.page(after="v1.5.0", limit=1)).names == ("v1.5.0-new",)
    assert reads.count == 2


@pytest.mark.slow
@pytest.mark.usefixtures("at_rest")
async def test_many_repositories(tmp_path: Path, reads: Reads) -> None:
    driver = DiskDriver(tmp_path)
    names = [f"team-{number % 97}/plugin/{number}" for number in range(10_000)]
    numbered(tmp_path / paths.CATALOG, [paths.catalog_name(name) for name in names], b"")
    store = Store(driver, upload_limit=LIMIT)
    found: list[str] = []
    more = True
    while more:
        page = await store.catalog(after=found[-1] if found else "", limit=100)
        found += page.names
        more = page.more
    assert found == sorted(names)
    assert reads.count == 1
