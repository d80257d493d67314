from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import circuit
from storage.circuit import LEAST
from storage.disk import DiskDriver
from storage.driver import PEEKED, Driver, ObjectChanged, ObjectExists, ObjectMissing, Page, Witness
from storage.errors import StoreUnavailable
from storage.memory import LARGEST
from storage.remembered import Remembered
from tests.storage.driver_contract import DriverContract
from tests.storage.streams import collect, outcome, pieces
from tests.storage.unsteady import Clock, Gate, Unsteady

TTL = 1.0
STALE = 900.0
OVERTIME = 1.9
LARGE = bytes(LARGEST + 1)


class Views:
    """A folder as a place (`driver_contract.Place`), whose drivers remember."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()

    def over(self, store: Driver) -> Driver:
        """One that remembers, over a driver."""
        return Remembered(store, clock=self.clock)

    def open(self) -> Driver:
        return self.over(DiskDriver(self.root))

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.root / "temp").iterdir()]

    def abandon(self) -> None:
        (self.root / "temp" / "of-a-writer-that-died").write_bytes(b"part")


class Ticking(Views):
    """After each write so much time passes that all have to see it."""

    def over(self, store: Driver) -> Driver:
        unsteady = Unsteady(store)
        unsteady.written = self._tick
        return super().over(unsteady.driver)

    def _tick(self) -> None:
        self.clock.now += TTL


class Alone(Views):
    """The clock stands still, and there is one view only."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._one: Driver | None = None

    def open(self) -> Driver:
        self._one = self._one or super().open()
        return self._one


class TestContractAfterAWhile(DriverContract):
    """What others have written is seen when the time is over."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Views:
        return Ticking(tmp_path / "store")


class TestContractOfOwnWrites(DriverContract):
    """What was written here is seen at once."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Views:
        return Alone(tmp_path / "store")


class Scene:
    """A store, one that remembers it, and another one's view of it."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.others = DiskDriver(root)
        self.store = Unsteady(DiskDriver(root))
        self.mine = Remembered(self.store.driver, clock=self.clock)

    async def background(self) -> None:
        """Let what is under way in the background come to its end."""
        while self.mine._tasks:
            await asyncio.wait(self.mine._tasks)

    async def fail(self) -> None:
        """The store fails, and that is known."""
        self.store.down = True
        assert await outcome(self.mine.asking.get("any")) is StoreUnavailable

    async def probed(self) -> None:
        """Let the probe that is under way come to its end."""
        if self.mine._circuit._probing is not None:
            await self.mine._circuit._probing


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path / "store")
    yield scene
    await scene.mine.close()


# What is asked, and how often


async def test_a_herd_is_one_call(scene: Scene) -> None:
    await scene.others.put("t/v1", b"one")
    await scene.others.put("t/v2", b"two")
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "get": lambda: scene.mine.get("t/v1"),
        "stat": lambda: scene.mine.stat("t/v1"),
        "children": lambda: scene.mine.children("t", limit=10),
    }
    for name, read in reads.items():
        found = await asyncio.gather(*(read() for _ in range(1000)))
        assert len(set(map(repr, found))) == 1
        # The others cannot know whether a page that was begun before they came has all that was there then.
        assert scene.store.asked(name) == (2 if name == "children" else 1)
    assert await scene.mine.get("t/v1") == b"one"
    assert len(scene.store.calls) == 4


async def test_a_herd_that_wants_what_is_not_there(scene: Scene) -> None:
    for name in ("get", "stat"):
        read = getattr(scene.mine, name)
        found = await asyncio.gather(*(outcome(read("t/none")) for _ in range(1000)))
        assert (set(found), scene.store.asked(name)) == ({ObjectMissing}, 2)
    assert scene.mine.peek("t/none") is None


@pytest.mark.parametrize("name", ["get", "stat", "read", "children"])
async def test_what_another_has_made_is_seen_at_once(scene: Scene, name: str) -> None:
    """docker asks for a blob, sends it by way of one replica, and asks another one for it."""
    before, after = expected(ObjectMissing), expected(b"new")
    assert await state(scene.mine) == before
    gates = [Gate(), Gate(), Gate()]
    scene.store.gates |= dict(zip(("get", "stat", "children"), gates, strict=True))
    early = asyncio.create_task(state_at_once(scene.mine))
    await asyncio.gather(*(gate.reached.wait() for gate in gates))
    await scene.others.put("t/v1", b"new")
    late = asyncio.create_task(state_at_once(scene.mine))
    await asyncio.sleep(0.01)
    for gate in gates:
        gate.go.set()
    assert await late == after
    assert len(await early) == len(before)
    at = ["get", "stat", "read", "children"].index(name)
    await scene.others.delete("t/v1")
    scene.clock.now += TTL
    assert (await state(scene.mine))[at] == before[at]
    await scene.others.put("t/v1", b"new")
    assert (await state(scene.mine))[at] == after[at]


async def state_at_once(driver: Driver) -> list[object]:
    """What is seen of t/v1, all asked at the same time."""
    content, there, whole, names = await asyncio.gather(
        outcome(driver.get("t/v1")),
        outcome(driver.stat("t/v1")),
        outcome(collect(driver.read("t/v1"))),
        driver.children("t", limit=10),
    )
    return [content, getattr(there, "size", there), whole, "v1" in names.names]


@pytest.mark.parametrize(("age", "calls"), [(0.0, 1), (0.999, 1), (1.0, 2), (5.0, 2)], ids=str)
async def test_what_is_remembered_is_no_older_than_its_time(scene: Scene, age: float, calls: int) -> None:
    await scene.others.put("t/v1", b"old")
    assert await scene.mine.get("t/v1") == b"old"
    await scene.others.put("t/v1", b"new")
    scene.clock.now += age
    assert await scene.mine.get("t/v1") == (b"old" if calls == 1 else b"new")
    assert scene.store.asked("get") == calls


async def test_the_time_counts_from_before_the_question(scene: Scene) -> None:
    await scene.others.put("t/v1", b"old")
    gate = scene.store.gates["get"] = Gate()
    reading = asyncio.create_task(scene.mine.get("t/v1"))
    await gate.reached.wait()
    await scene.others.put("t/v1", b"new")
    scene.clock.now += TTL
    assert await scene.mine.get("t/v1") == b"new", "nobody waits for an answer that is too old"
    gate.go.set()
    assert await reading == b"old"
    assert await scene.mine.get("t/v1") == b"new", "an answer that comes late is not remembered"
    assert scene.store.asked("get") == 2


async def test_one_who_goes_away_takes_the_answer_from_nobody(scene: Scene) -> None:
    await scene.others.put("t/v1", b"one")
    gate = scene.store.gates["get"] = Gate()
    first, second = (asyncio.create_task(scene.mine.get("t/v1")) for _ in range(2))
    await gate.reached.wait()
    first.cancel()
    assert await asyncio.gather(first, return_exceptions=True) != [b"one"]
    gate.go.set()
    assert await second == b"one"
    assert await scene.mine.get("t/v1") == b"one"
    assert scene.store.asked("get") == 1


async def test_small_objects_are_read_from_memory(scene: Scene) -> None:
    await scene.mine.put("m/x", b"0123456789")
    assert [await collect(scene.mine.read("m/x", *part)) for part in ((), (3,), (3, 5), (5, 3), (10,))] == [
        b"0123456789", b"3456789", b"34", b"", b""
    ]  # fmt: skip
    assert scene.store.asked("read") == 0


async def test_large_objects_are_not_kept(scene: Scene) -> None:
    await scene.others.put("m/large", LARGE)
    for _ in range(3):
        assert await scene.mine.get("m/large") == LARGE
        assert await collect(scene.mine.read("m/large")) == LARGE
    assert (scene.store.asked("get"), scene.store.asked("read")) == (3, 3)
    assert scene.mine.used < 2 * PEEKED
    assert scene.mine.peek("m/large") == LARGE[:PEEKED], "but a look is remembered"
    scene.clock.now += TTL
    scene.store.calls.clear()
    assert scene.mine.peek("m/large") == LARGE[:PEEKED]
    await scene.background()
    assert scene.store.calls == [("read", "m/large")], "and renewed by its beginning alone"
    scene.clock.now += TTL
    assert scene.mine.peek("m/large") == LARGE[:PEEKED]
    await scene.background()


async def test_pages_that_are_not_the_first_are_asked_for(scene: Scene) -> None:
    for name in "abc":
        await scene.others.put(f"t/{name}", b"")
    for _ in range(3):
        assert await scene.mine.children("t", limit=2) == Page(("a", "b"), more=True)
        assert await scene.mine.children("t", limit=1) == Page(("a",), more=True)
        assert await scene.mine.children("t", after="b", limit=2) == Page(("c",), more=False)
    assert scene.store.asked("children") == 3 * 3


async def test_pages_of_other_lengths_are_not_mixed_up(scene: Scene) -> None:
    for name in "abc":
        await scene.others.put(f"t/{name}", b"")
    pages = await asyncio.gather(*(scene.mine.children("t", limit=limit) for limit in (1, 2, None, 3, 1)))
    assert [len(page.names) for page in pages] == [1, 2, 3, 3, 1]
    await scene.mine.children("t", limit=2)
    await scene.fail()
    assert await scene.mine.children("t", limit=2) == Page(("a", "b"), more=True)
    assert await outcome(scene.mine.children("t", limit=1)) is StoreUnavailable


async def test_memory_is_bounded(tmp_path: Path) -> None:
    store = Unsteady(DiskDriver(tmp_path / "store"))
    mine = Remembered(store.driver, clock=Clock(), budget_bytes=20_000)
    for at in range(50):
        await mine.put(f"t/{at}", bytes(1000))
        assert mine.used <= 20_000
        await mine.get("t/0")
    assert mine.used > 15_000
    assert store.asked("get") == 0, "what is used stays"
    for at in range(2, 50):
        await mine.get(f"t/{at}")
    assert 30 < store.asked("get") <= 48


async def test_conditions_are_the_store_s(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"mine")
    await scene.others.put("t/v1", b"theirs")
    assert await scene.mine.get("t/v1") == b"mine"
    assert await outcome(scene.mine.create("t/v1", b"x")) is ObjectExists
    assert await scene.mine.get("t/v1") == b"theirs", "what shows that another wrote is asked again"
    await scene.others.put("t/v1", b"again")
    with contextlib.suppress(ObjectChanged):
        await scene.mine.replace("t/v1", b"x", b"theirs")
    assert await scene.mine.get("t/v1") == b"again"
    await scene.mine.replace("t/v1", b"replaced", b"again")
    assert await scene.mine.get("t/v1") == b"replaced"
    await scene.others.put("t/v1", b"theirs")
    with contextlib.suppress(ObjectChanged):
        await scene.mine.delete("t/v1", expected=b"replaced")
    assert await scene.mine.get("t/v1") == b"theirs"


async def test_the_asking_view_always_asks(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"mine")
    await scene.mine.children("t", limit=5)
    await scene.mine.stat("t/v1")
    await scene.others.put("t/v1", b"theirs")
    await scene.others.put("t/v2", b"theirs")
    ask = scene.mine.asking
    assert (await ask.get("t/v1"), (await ask.stat("t/v1")).size) == (b"theirs", 6)
    assert (await ask.children("t", limit=5)).names == ("v1", "v2")
    assert await collect(ask.read("t/v1")) == b"theirs"
    await ask.put("t/v1", b"by asking")
    assert await scene.mine.get("t/v1") == b"by asking", "its writes are seen at once"
    assert (await scene.mine.children("t", limit=5)).names == ("v1", "v2")


# Writes and reads at once

WRITES: dict[str, tuple[Callable[[Driver], Awaitable[object]], object]] = {
    "put": (lambda driver: driver.put("t/v1", b"new"), b"new"),
    "put_in_order": (lambda driver: driver.put_in_order([{"t/x": b""}, {"t/v1": b"new"}]), b"new"),
    "replace": (lambda driver: driver.replace("t/v1", b"new", b"old"), b"new"),
    "put_stream": (lambda driver: driver.put_stream("t/v1", pieces(b"n", b"ew")), b"new"),
    "delete": (lambda driver: driver.delete("t/v1"), ObjectMissing),
    "delete of what it holds": (lambda driver: driver.delete("t/v1", expected=b"old"), ObjectMissing),
    "move away": (lambda driver: driver.move("t/v1", "trash/t/v1"), ObjectMissing),
    "move there": (lambda driver: driver.move("u/new", "t/v1"), b"new"),
    "publish": (lambda driver: driver.publish("u/staged", "t/v1", 3), b"new"),
}
by_write = pytest.mark.parametrize("write", WRITES)


async def furnish(scene: Scene) -> None:
    """What WRITES work with."""
    await scene.others.put("t/v1", b"old")
    await scene.others.put("u/new", b"new")
    await scene.others.stage("u/staged")
    await scene.others.extend("u/staged", 0, pieces(b"new"))


async def state(driver: Driver) -> list[object]:
    """What is seen of t/v1: by get, stat, read and children."""
    names = await driver.children("t", limit=10)
    there = await outcome(driver.stat("t/v1"))
    return [
        await outcome(driver.get("t/v1")),
        getattr(there, "size", there),
        await outcome(collect(driver.read("t/v1"))),
        "v1" in names.names,
    ]


def expected(content: object) -> list[object]:
    if isinstance(content, bytes):
        return [content, len(content), content, True]
    return [ObjectMissing, ObjectMissing, ObjectMissing, False]


@by_write
@pytest.mark.parametrize("view", ["mine", "asking"])
async def test_own_writes_are_seen_at_once(scene: Scene, write: str, view: str) -> None:
    await furnish(scene)
    assert await state(scene.mine) == expected(b"old")
    work, after = WRITES[write]
    await work(scene.mine if view == "mine" else scene.mine.asking)
    for _ in range(2):
        assert await state(scene.mine) == expected(after)


@by_write
async def test_a_question_from_before_a_write_does_not_bring_the_old_state_back(
    scene: Scene, write: str
) -> None:
    await furnish(scene)
    for name in ("get", "stat", "children"):
        scene.store.gates[name] = Gate()
    gates = list(scene.store.gates.values())
    early = [
        asyncio.create_task(outcome(work))
        for work in (scene.mine.get("t/v1"), scene.mine.stat("t/v1"), scene.mine.children("t", limit=10))
    ]
    await asyncio.gather(*(gate.reached.wait() for gate in gates))
    work, after = WRITES[write]
    await work(scene.mine)
    assert await state(scene.mine) == expected(after), "nobody joins a question from before"
    for gate in gates:
        gate.go.set()
    assert (await asyncio.gather(*early))[0] == b"old"
    assert await state(scene.mine) == expected(after)


async def test_a_question_that_ends_during_a_write_is_not_kept_beyond_it(scene: Scene) -> None:
    await scene.others.put("t/v1", b"old")
    read, wrote = Gate(), Gate()
    scene.store.gates |= {"get": read, "put_stream": wrote}
    reading = asyncio.create_task(scene.mine.get("t/v1"))
    await read.reached.wait()
    writing = asyncio.create_task(scene.mine.put_stream("t/v1", pieces(b"new")))
    await wrote.reached.wait()
    read.go.set()
    assert await reading == b"old"
    wrote.go.set()
    await writing
    assert await scene.mine.get("t/v1") == b"new"


async def test_nothing_of_a_write_is_shown_before_it_is_acknowledged(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"old")
    gate = scene.store.gates["put"] = Gate()
    writing = asyncio.create_task(scene.mine.put("t/v1", b"new"))
    await gate.reached.wait()
    assert await scene.mine.get("t/v1") == b"old"
    gate.go.set()
    await writing
    assert await scene.mine.get("t/v1") == b"new"


@pytest.mark.parametrize("last", ["first", "second"])
async def test_of_writes_at_once_the_store_says_which_was_last(scene: Scene, last: str) -> None:
    gates = {}
    tasks = []
    for name in ("first", "second") if last == "second" else ("second", "first"):
        gates[name] = scene.store.gates["put"] = Gate()
        tasks.append(asyncio.create_task(scene.mine.put("t/v1", name.encode())))
        await gates[name].reached.wait()
    for name in ("second", "first"):
        gates[name].go.set()
        for _ in range(5):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert await scene.mine.get("t/v1") == last.encode()
    assert scene.store.asked("get") == 1


async def test_a_write_that_was_given_up_is_doubted(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"old")
    gate = scene.store.gates["put"] = Gate()
    writing = asyncio.create_task(scene.mine.put("t/v1", b"new"))
    await gate.reached.wait()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert scene.mine.peek("t/v1") is None
    assert await scene.mine.get("t/v1") == b"new", "it was done all the same"


@pytest.mark.parametrize("seed", range(60))
async def test_a_view_is_a_register_whatever_the_order(scene: Scene, seed: int, unsynced: None) -> None:
    """While the clock stands still: no read shows what was replaced, or less, before the read began."""
    rng = scene.store.shuffle = random.Random(seed)
    history: list[tuple[str, int, int, object]] = [("write", -2, -1, None)]
    steps = iter(range(10**6))
    keys = ["t/v1"]

    async def actor(number: int) -> None:
        for at in range(8):
            value = b"%d.%d" % (number, at)
            began = next(steps)
            match rng.randrange(6):
                case 0:
                    await scene.mine.put(keys[0], value)
                    history.append(("write", began, next(steps), value))
                case 1:
                    await scene.mine.asking.put_stream(keys[0], pieces(value))
                    history.append(("write", began, next(steps), value))
                case 2:
                    await scene.mine.delete(keys[0])
                    history.append(("write", began, next(steps), None))
                case 3:
                    with contextlib.suppress(ObjectExists):
                        await scene.mine.create(keys[0], value)
                        history.append(("write", began, next(steps), value))
                case _:
                    found = await outcome(scene.mine.get(keys[0]))
                    history.append(("read", began, next(steps), None if found is ObjectMissing else found))

    await asyncio.gather(*(actor(number) for number in range(5)))
    writes = [item for item in history if item[0] == "write"]
    for _, began, ended, value in (item for item in history if item[0] == "read"):
        of_it = [write for write in writes if write[3] == value and write[1] < ended]
        assert any(
            not any(write[2] < later[1] and later[2] < began for later in writes) for write in of_it
        ), (value, began, ended, sorted(history, key=lambda item: item[1]))


# While the store fails


async def test_what_was_seen_last_is_served(scene: Scene) -> None:
    await scene.others.put("t/v1", b"one")
    assert await state(scene.mine) == expected(b"one")
    scene.clock.now += 60
    scene.store.down = True
    for _ in range(3):
        assert await state(scene.mine) == expected(b"one")
        assert scene.mine.peek("t/v1") == b"one"
        assert Witness("t/v1", b"one").holds(scene.mine)
    assert len(scene.store.calls) == 4, "the first who asked has found out for all"
    scene.clock.now += STALE - 60.1
    assert await state(scene.mine) == expected(b"one")
    scene.clock.now += 0.1
    assert await state_of_failure(scene.mine) == [StoreUnavailable] * 4
    assert scene.mine.peek("t/v1") is None


async def state_of_failure(driver: Driver) -> list[object]:
    """The outcomes of all that `state` asks."""
    return [
        await outcome(driver.get("t/v1")),
        await outcome(driver.stat("t/v1")),
        await outcome(collect(driver.read("t/v1"))),
        await outcome(driver.children("t", limit=10)),
    ]


async def test_what_was_never_seen_is_refused_at_once(scene: Scene) -> None:
    await scene.others.put("t/v1", b"one")
    await scene.fail()
    calls = len(scene.store.calls)
    assert await state_of_failure(scene.mine) == [StoreUnavailable] * 4
    assert await state_of_failure(scene.mine.asking) == [StoreUnavailable] * 4
    assert scene.mine.peek("t/v1") is None
    assert len(scene.store.calls) == calls


async def test_that_something_was_not_there_is_not_said(scene: Scene) -> None:
    assert await outcome(scene.mine.get("t/v1")) is ObjectMissing
    await scene.mine.put("t/v2", b"")
    await scene.mine.delete("t/v2")
    await scene.fail()
    assert await outcome(scene.mine.get("t/v1")) is StoreUnavailable
    assert await outcome(scene.mine.get("t/v2")) is StoreUnavailable


async def test_all_who_wait_when_it_fails_are_served(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"one")
    scene.clock.now += TTL
    gate = scene.store.gates["get"] = Gate()
    waiting = [asyncio.create_task(scene.mine.get("t/v1")) for _ in range(100)]
    await gate.reached.wait()
    scene.store.mute = True
    gate.go.set()
    assert set(await asyncio.gather(*waiting)) == {b"one"}
    assert (scene.store.asked("get"), scene.mine.failures, scene.mine.tally.stale) == (1, 1, 100)


async def test_who_waits_for_a_store_that_is_silent_is_served(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.others.put("a", b"1")
    assert await scene.mine.get("a") == b"1"
    monkeypatch.setattr(circuit, "PATIENCE", 0.01)
    scene.clock.now += TTL
    gate = scene.store.gates["get"] = Gate()
    assert [await scene.mine.get("a") for _ in range(3)] == [b"1"] * 3
    assert scene.mine.degraded is not None
    assert await outcome(scene.mine.asking.put("a", b"2")) is StoreUnavailable
    gate.go.set()
    async with asyncio.timeout(20):
        while scene.mine.degraded is not None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_all_who_wait_for_what_was_never_seen_are_told(scene: Scene) -> None:
    scene.store.down = True
    found = await asyncio.gather(*(scene.mine.get("t/v1") for _ in range(50)), return_exceptions=True)
    assert {type(error) for error in found} == {StoreUnavailable}
    assert len(set(map(id, found))) == 50, "each has an error of its own"
    assert scene.store.asked("get") == 1


FAST: dict[str, Callable[[Driver, AsyncIterator[bytes]], Awaitable[object]]] = {
    **{name: (lambda driver, _, work=work: work(driver)) for name, (work, _) in WRITES.items()},
    "create": lambda driver, _: driver.create("t/v1", b"new"),
    "put_stream": lambda driver, source: driver.put_stream("t/v1", source),
    "stage": lambda driver, _: driver.stage("u/other"),
    "extend": lambda driver, source: driver.extend("u/staged", 3, source),
    "staged": lambda driver, _: driver.staged("u/staged"),
    "read_staged": lambda driver, _: collect(driver.read_staged("u/staged")),
    "discard": lambda driver, _: driver.discard("u/staged"),
    "sweep": lambda driver, _: driver.sweep(0.0),
    "walk": lambda driver, _: anext(aiter(driver.walk("t"))),
    "a page that is not the first": lambda driver, _: driver.children("t", after="a"),
    "a large object": lambda driver, _: collect(driver.read("b/large")),
}


@pytest.mark.parametrize("work", FAST.values(), ids=FAST)
async def test_what_needs_the_store_fails_fast(
    scene: Scene, work: Callable[[Driver, AsyncIterator[bytes]], Awaitable[object]]
) -> None:
    await furnish(scene)
    await scene.others.put("b/large", LARGE)
    assert await state(scene.mine) == expected(b"old")
    await scene.fail()
    calls, touched = len(scene.store.calls), False

    async def source() -> AsyncIterator[bytes]:
        nonlocal touched
        touched = True
        yield b""

    with pytest.raises(StoreUnavailable) as raised:
        await work(scene.mine, source())
    assert raised.value.retry_after == LEAST
    assert (len(scene.store.calls), touched) == (calls, False)
    assert await state(scene.mine) == expected(b"old"), "it has changed nothing"


async def test_it_goes_on_when_the_store_answers_again(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"one")
    await scene.fail()
    assert scene.mine.degraded is not None
    await scene.others.put("t/v1", b"two")
    scene.store.down = False
    scene.clock.now += LEAST
    assert await scene.mine.get("t/v1") == b"one", "nobody waits for the probe"
    await scene.probed()
    assert scene.mine.degraded is None
    assert await scene.mine.get("t/v1") == b"two"
    await scene.mine.put("t/v1", b"three")
    assert scene.mine.peek("t/v1") == b"three"


async def test_a_look_begins_the_probe_too(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"one")
    await scene.fail()
    scene.store.down = False
    scene.clock.now += LEAST
    assert scene.mine.peek("t/v1") == b"one"
    await scene.probed()
    assert scene.mine.degraded is None


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
async def test_a_write_that_fails_is_neither_shown_nor_hidden(scene: Scene, done: bool) -> None:
    await scene.mine.put("t/v1", b"old")
    scene.store.mute, scene.store.down = done, not done
    assert await outcome(scene.mine.put("t/v1", b"new")) is StoreUnavailable
    assert await scene.mine.get("t/v1") == b"old", "it was not acknowledged"
    scene.store.mute = scene.store.down = False
    scene.clock.now += LEAST
    assert await scene.mine.get("t/v1") == b"old"
    await scene.probed()
    assert await scene.mine.get("t/v1") == (b"new" if done else b"old")


async def test_whether_anything_can_be_served(scene: Scene) -> None:
    assert (scene.mine.serving, scene.mine.degraded) == (False, None), "the store was never reached"
    await scene.fail()
    assert not scene.mine.serving
    scene.store.down = False
    scene.clock.now += LEAST
    await outcome(scene.mine.get("t/v1"))
    await scene.probed()
    assert scene.mine.serving
    await scene.fail()
    scene.clock.now += STALE - 1
    assert scene.mine.serving
    scene.clock.now += 1
    assert not scene.mine.serving


async def test_close_ends_what_is_under_way(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "store")
    await scene.mine.put("t/v1", b"one")
    scene.clock.now += TTL
    gate = scene.store.gates["get"] = Gate()
    assert scene.mine.peek("t/v1") == b"one"
    await gate.reached.wait()
    await scene.mine.close()
    assert not scene.mine._tasks


# The look of the hot path


async def test_a_look_is_renewed_while_it_is_asked_for(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"0")
    scene.store.calls.clear()
    for second in range(1, 21):
        for _ in range(10):
            scene.clock.now += 0.1
            assert scene.mine.peek("t/v1") is not None, "it never falls through"
            await scene.background()
        assert scene.store.asked("get") <= second
    assert scene.store.asked("get") >= 18
    await scene.others.put("t/v1", b"moved")
    moved = scene.clock.now
    while scene.mine.peek("t/v1") != b"moved":
        scene.clock.now += 0.1
        await scene.background()
    assert scene.clock.now - moved <= TTL + 0.2


@pytest.mark.parametrize(("age", "seen"), [(0.99, True), (1.89, True), (1.91, False), (60.0, False)])
async def test_a_look_shows_what_is_young_enough(scene: Scene, age: float, seen: bool) -> None:
    await scene.mine.put("t/v1", b"one")
    scene.clock.now += age
    gate = scene.store.gates["get"] = Gate()
    for _ in range(5):
        assert scene.mine.peek("t/v1") == (b"one" if seen else None)
    await asyncio.sleep(0)
    assert len(scene.mine._tasks) == (TTL <= age < OVERTIME * TTL), "one at most, and for what is looked at"
    gate.go.set()


async def test_a_look_at_what_has_gone_ends(scene: Scene) -> None:
    await scene.mine.put("t/v1", b"one")
    await scene.others.delete("t/v1")
    scene.clock.now += TTL
    assert scene.mine.peek("t/v1") == b"one"
    await scene.background()
    assert scene.mine.peek("t/v1") is None


# A model

Step = tuple[str, object]
STEPS = st.one_of(
    st.tuples(st.sampled_from(["put", "create", "delete", "others put", "others delete"]), st.just(None)),
    st.tuples(
        st.sampled_from(["get", "get", "stat", "names", "peek", "peek", "read", "settle"]), st.just(None)
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 0.5, 1.0, 1.5, 3.0, 400.0, 1000.0])),
    st.tuples(st.sampled_from(["down", "mute"]), st.booleans()),
)


class History:
    """All that was ever under t/v1, and what a read of it may show."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.versions: list[tuple[float, bytes | None]] = [(-1e9, None)]
        self.least = 0

    def write(self, value: bytes | None, *, own: bool) -> None:
        self.versions.append((self.scene.clock.now, value))
        if own:
            self.least = len(self.versions) - 1

    @property
    def failing(self) -> bool:
        store = self.scene.store
        return store.down or store.mute or self.scene.mine.degraded is not None

    def check(self, found: object, bound: float) -> None:
        """A read has shown this (ObjectMissing: nothing; a number: its length)."""
        now = self.scene.clock.now
        if found is StoreUnavailable:
            assert self.failing
            return
        if found is ObjectMissing:
            bound = 0.0
        elif self.failing:
            bound = STALE
        until = [began for began, _ in self.versions[1:]] + [float("inf")]
        allowed = [
            ObjectMissing if value is None else len(value) if isinstance(found, int) else value
            for at, (_, value) in enumerate(self.versions)
            if at >= self.least and (until[at] > now - bound or until[at] == float("inf"))
        ]
        assert found in allowed


@settings(max_examples=300)
@given(steps=st.lists(STEPS, min_size=4, max_size=40))
def test_no_read_is_older_than_it_may_be(unsynced: None, steps: list[Step]) -> None:
    async def play(root: Path) -> None:
        scene = Scene(root)
        history = History(scene)
        for number, step in enumerate(steps):
            await take(scene, history, step, b"%0*d" % (number + 1, number))
        await scene.mine.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


async def take(scene: Scene, history: History, step: Step, value: bytes) -> None:
    """One step of a story, checked."""
    mine, key = scene.mine, "t/v1"
    match step:
        case ("put" | "create" | "delete" as name, _):
            before = await outcome(scene.others.get(key))
            work = mine.delete(key) if name == "delete" else getattr(mine, name)(key, value)
            told = await outcome(work)
            if await outcome(scene.others.get(key)) != before:
                # What was done and not acknowledged is as another one's write.
                history.write(None if name == "delete" else value, own=told is not StoreUnavailable)
        case ("others put", _):
            await scene.others.put(key, value)
            history.write(value, own=False)
        case ("others delete", _):
            await scene.others.delete(key)
            history.write(None, own=False)
        case ("get", _):
            history.check(await outcome(mine.get(key)), TTL)
        case ("read", _):
            found = await outcome(collect(mine.read(key)))
            history.check(found, TTL)
        case ("stat", _):
            found = await outcome(mine.stat(key))
            history.check(getattr(found, "size", found), TTL)
        case ("names", _):
            found = await outcome(mine.children("t", limit=5))
            if isinstance(found, Page) and not history.failing:
                assert (found.names == ("v1",)) is (history.versions[-1][1] is not None)
            assert isinstance(found, Page) or history.failing
        case ("peek", _):
            if (seen := mine.peek(key)) is not None:
                history.check(seen, OVERTIME * TTL)
        case ("settle", _):
            await scene.background()
            await scene.probed()
        case ("wait", float(seconds)):
            scene.clock.now += seconds
        case (name, flag):
            setattr(scene.store, name, flag)
