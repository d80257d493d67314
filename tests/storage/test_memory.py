from __future__ import annotations

import tracemalloc

import pytest

from storage.driver import PEEKED, ObjectChanged, ObjectExists, Page, Stat
from storage.errors import StoreUnavailable
from storage.memory import LARGEST, First, Kind, Memory, Seen

KEY = "repositories/team/a/_tags/v1"


@pytest.fixture
def memory() -> Memory:
    return Memory(1 << 20)


def seen(memory: Memory, kind: Kind = Kind.CONTENT, key: str = KEY) -> object:
    """What is remembered, if anything is."""
    found = memory.find((kind, key))
    return None if found is None else found.value


def test_what_is_kept_is_found(memory: Memory) -> None:
    kept = {
        Kind.CONTENT: b"one",
        Kind.STAT: Stat(3, 1.5),
        Kind.NAMES: First(10, Page(("a", "b"), more=False)),
    }
    for kind, value in kept.items():
        memory.keep((kind, KEY), Seen(value, 7.0))
    assert {kind: memory.find((kind, KEY)) for kind in kept} == {
        kind: Seen(value, 7.0) for kind, value in kept.items()
    }
    assert memory.find((Kind.CONTENT, "other")) is None


@pytest.mark.parametrize(
    ("size", "kind"),
    [(0, Kind.CONTENT), (LARGEST, Kind.CONTENT), (LARGEST + 1, Kind.BEGINNING), (4 << 20, Kind.BEGINNING)],
)
def test_of_a_large_object_its_beginning_is_kept(memory: Memory, size: int, kind: Kind) -> None:
    memory.keep((Kind.CONTENT, KEY), Seen(b"before", 1.0))
    memory.keep((Kind.CONTENT, KEY), Seen(bytes(size), 2.0))
    assert seen(memory, kind) == bytes(size if kind is Kind.CONTENT else PEEKED)
    assert len(memory) == 1
    memory.keep((Kind.CONTENT, KEY), Seen(b"after", 3.0))
    assert (seen(memory), len(memory)) == (b"after", 1)


def test_that_nothing_is_there_is_not_kept_and_ends_what_was(memory: Memory) -> None:
    for before in (b"old", bytes(LARGEST + 1)):
        memory.keep((Kind.CONTENT, KEY), Seen(before, 1.0))
        memory.keep((Kind.CONTENT, KEY), Seen(None, 2.0))
        assert (len(memory), memory.used) == (0, 0)


def test_a_large_page_is_not_kept(memory: Memory) -> None:
    place = Kind.NAMES, "t"
    memory.keep(place, Seen(First(None, Page(tuple(map(str, range(900))), more=False)), 1.0))
    assert len(memory) == 1
    memory.keep(place, Seen(First(None, Page(tuple(map(str, range(2000))), more=False)), 1.0))
    assert (len(memory), memory.used) == (0, 0)


def test_the_least_recently_used_goes_first() -> None:
    memory = Memory(10_000)
    for at in range(20):
        memory.keep((Kind.CONTENT, f"t/{at}"), Seen(bytes(1000), 1.0))
        memory.find((Kind.CONTENT, "t/0"))
        assert memory.used <= 10_000
    left = [at for at in range(20) if memory.find((Kind.CONTENT, f"t/{at}"))]
    assert left[0] == 0
    assert left[1:] == list(range(20))[-len(left) + 1 :]
    assert len(left) >= 5


def test_nothing_is_kept_without_a_budget() -> None:
    memory = Memory(0)
    memory.keep((Kind.CONTENT, KEY), Seen(b"", 1.0))
    assert (len(memory), memory.used) == (0, 0)


@pytest.mark.parametrize("size", [None, 0, 200, 5000])
def test_used_is_no_less_than_what_it_takes(size: int | None) -> None:
    memory = Memory(1 << 30)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(10_000):
        key = f"repositories/team/a/_blobs/sha256/{at:064}"
        if size is None:
            memory.keep((Kind.STAT, key), Seen(Stat(at, float(at)), float(at)))
        else:
            memory.keep((Kind.CONTENT, key), Seen(bytes(bytearray(size)), float(at)))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken <= memory.used <= 2.5 * taken


def test_a_write_that_is_acknowledged_is_remembered(memory: Memory) -> None:
    for left, after in ((b"new", Seen(b"new", 5.0)), (None, None)):
        memory.keep((Kind.CONTENT, KEY), Seen(b"old", 1.0))
        memory.keep((Kind.STAT, KEY), Seen(Stat(3, 1.5), 1.0))
        with memory.writing({KEY: left}, 5.0):
            assert seen(memory) == b"old"
        assert memory.find((Kind.CONTENT, KEY)) == after
        assert memory.find((Kind.STAT, KEY)) is None


def test_a_write_changes_the_folders_above_it_and_no_others(memory: Memory) -> None:
    above = ["", "repositories", "repositories/team", "repositories/team/a", "repositories/team/a/_tags"]
    beside = [KEY, "repositories/team/b", "repo", "repositories/team/a/_tag"]
    for folder in above + beside:
        memory.keep((Kind.NAMES, folder), Seen(First(1, Page((), more=False)), 1.0))
    with memory.writing({KEY: b""}, 1.0):
        pass
    assert [folder for folder in above if seen(memory, Kind.NAMES, folder)] == []
    assert all(seen(memory, Kind.NAMES, folder) for folder in beside[1:])


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (ObjectChanged(), None),
        (ObjectExists(), Seen(b"old", 1.0, doubted=True)),
        (StoreUnavailable("down."), Seen(b"old", 1.0, doubted=True)),
        (KeyboardInterrupt(), Seen(b"old", 1.0, doubted=True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_write_that_fails_is_not_remembered(memory: Memory, error: BaseException, after: object) -> None:
    memory.keep((Kind.CONTENT, KEY), Seen(b"old", 1.0))
    with pytest.raises(type(error)), memory.writing({KEY: b"new"}, 5.0):
        raise error
    assert memory.find((Kind.CONTENT, KEY)) == after


def test_writes_at_once_leave_nothing_behind(memory: Memory) -> None:
    with memory.writing({KEY: b"one"}, 1.0):
        with memory.writing({KEY: b"two", "other": b""}, 2.0):
            pass
        assert seen(memory) is None
        assert seen(memory, key="other") == b""
    assert seen(memory) is None
    with memory.writing({KEY: b"three"}, 3.0):
        pass
    assert seen(memory) == b"three"
    assert memory._writers == {}
