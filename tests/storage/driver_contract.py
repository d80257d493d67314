"""The contract suite of `storage.driver.Driver`: every implementation runs it.

A subclass gives the fixture `place`: a store that holds nothing, which any number of drivers open.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

import pytest

from storage.driver import (
    CHUNK,
    Driver,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    Page,
    StageBusy,
    StageMoved,
)
from storage.errors import NameUnknown
from tests.storage.streams import collect, failing, odd, outcome, paused, pieces, together

WRITERS = 32
FUTURE = 3600.0
BIG = random.Random(7).randbytes(3 * CHUNK + 12_345)
ODD_SIZES = (1, 0, 65_537, 1_100_003, 7, 262_144)

SOURCE_ERRORS = [
    NameUnknown("not here"),
    ConnectionResetError(104, "reset"),
    TimeoutError(),
    FileNotFoundError(2, "not the store's"),
    ObjectMissing("not the store's"),
]


class Place(Protocol):
    """A store, from outside."""

    def open(self) -> Driver:
        """One more driver over it, as another process would have."""

    def leftovers(self) -> list[str]:
        """What is in it besides objects and staged objects."""

    def abandon(self) -> None:
        """Leave behind what a writer that dies in mid-write leaves."""


class DriverContract:
    """Each promise of `storage/driver.py`, as a test."""

    ONE_STEP = True
    """Whether nothing comes between the steps of a move or a publication; else a copy may stay."""

    BEGUN_LATE = False
    """Whether a staged object comes into being with its first bytes, and leaves its key when it ends."""

    FOLDERS_GO = True
    """Whether the store lists no folder that was emptied, and knows one from an object."""

    @pytest.fixture
    def place(self) -> Place:
        raise NotImplementedError

    @pytest.fixture
    def driver(self, place: Place) -> Driver:
        return place.open()

    @pytest.fixture
    def other(self, place: Place) -> Driver:
        return place.open()

    async def noticed(self, driver: Driver) -> None:
        """Until others see that a writer is at `u/1`: at once, where they see one another."""

    async def assert_ended(self, driver: Driver) -> None:
        """Nothing can be done with `u/1` any more, and nothing is left of it but, for a while, its key."""
        assert await together(
            partial(driver.staged, "u/1"),
            lambda: driver.extend("u/1", 0, pieces(b"x")),
            lambda: driver.extend("u/1", None, pieces(b"x")),
            lambda: collect(driver.read_staged("u/1")),
            partial(driver.publish, "u/1", "b/ended", 0),
            partial(driver.discard, "u/1"),
        ) == [*[ObjectMissing] * 5, False]
        if self.BEGUN_LATE:
            assert (await driver.stat("u/1")).size == 0
            assert await driver.delete("u/1")
        assert await driver.children("u") == Page((), more=False)

    # Objects

    async def test_nothing_is_there(self, driver: Driver) -> None:
        assert await together(
            partial(driver.get, "a/b"),
            partial(driver.stat, "a/b"),
            lambda: collect(driver.read("a/b")),
            partial(driver.delete, "a/b"),
            partial(driver.replace, "a/b", b"", b""),
            partial(driver.delete, "a/b", expected=b""),
            partial(driver.children, "a"),
        ) == [
            ObjectMissing, ObjectMissing, ObjectMissing, False, ObjectChanged, False, Page((), more=False)
        ]  # fmt: skip

    @pytest.mark.parametrize("key", ["top", "a/b", "_a/b+c.d,e/f:g", "1/2/3/4/5/6/7/8/9/10/11/12/x"])
    async def test_put_get_and_stat(self, driver: Driver, other: Driver, key: str) -> None:
        for data in (b"", b"first", b"\0" * 70_000, b"2"):
            await driver.put(key, data)
            found = await other.stat(key)
            assert (await other.get(key), await collect(other.read(key)), found.size) == (
                data,
                data,
                len(data),
            )
            assert abs(time.time() - found.modified) < FUTURE

    async def test_put_in_order(self, driver: Driver, other: Driver) -> None:
        await driver.put("a/2", b"old")
        steps = [{"a/1": b"1", "b/c/1": b""}, {}, {"a/2": b"2"}, {"a/3": b"3" * 70_000}]
        for _ in range(2):
            await driver.put_in_order(steps)
            for key, data in (item for one in steps for item in one.items()):
                assert await other.get(key) == data

    async def test_a_folder_is_no_object(self, driver: Driver) -> None:
        await driver.put("a/b/c", b"x")
        assert await together(
            partial(driver.get, "a/b"),
            partial(driver.stat, "a/b"),
            lambda: collect(driver.read("a/b")),
            partial(driver.get, "a/b/c/d"),
            partial(driver.delete, "a/b/c/d"),
            partial(driver.children, "a/b/c"),
        ) == [ObjectMissing, ObjectMissing, ObjectMissing, ObjectMissing, False, Page((), more=False)]
        assert await driver.delete("a/b") is False or not self.FOLDERS_GO
        assert await driver.get("a/b/c") == b"x"

    async def test_a_reader_never_sees_a_part_of_a_write(self, driver: Driver, other: Driver) -> None:
        contents = {bytes([at]) * size for at, size in enumerate((50_000, 3, 90_001))}
        await driver.put("a/b", next(iter(contents)))
        done = asyncio.Event()
        seen: Counter[bytes] = Counter()

        async def write() -> None:
            for _ in range(8):
                for content in contents:
                    await driver.put("a/b", content)
            done.set()

        async def read() -> None:
            while not done.is_set():
                seen.update([await other.get("a/b"), await collect(other.read("a/b"))])
                await asyncio.sleep(0)  # what is answered from memory gives nobody else a turn

        await asyncio.gather(write(), read(), read())
        assert seen
        assert set(seen) <= contents

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (0, None), (0, 0), (0, 1), (10, 20), (CHUNK - 1, CHUNK + 1), (5, 2 * CHUNK + 9), (20, 10),
            (len(BIG) - 1, None), (3, len(BIG) + 50), (len(BIG), None), (len(BIG) + 7, None),
        ],
        ids=str,
    )  # fmt: skip
    async def test_ranges(self, driver: Driver, start: int, end: int | None) -> None:
        await driver.put_stream("a/big", pieces(BIG))
        found = [piece async for piece in driver.read("a/big", start, end)]
        assert b"".join(found) == (BIG[start:end] if end is None or end > start else b"")
        assert all(0 < len(piece) <= CHUNK for piece in found)

    async def test_a_reader_that_is_closed_early(self, driver: Driver) -> None:
        await driver.put_stream("a/big", pieces(BIG))
        for _ in range(3):
            reader = driver.read("a/big")
            async with contextlib.aclosing(reader):  # type: ignore[type-var]
                async for piece in reader:
                    assert BIG.startswith(piece)
                    break
        assert await driver.delete("a/big")

    async def test_a_reader_goes_on_with_what_it_began(self, driver: Driver, other: Driver) -> None:
        await driver.put_stream("a/big", pieces(BIG))
        reader = driver.read("a/big")
        first = await anext(reader)
        await other.put_stream("a/big", pieces(b"another content"))
        assert first + await collect(reader) == BIG

    async def test_delete_is_idempotent(self, driver: Driver, other: Driver) -> None:
        await driver.put("a/b", b"x")
        assert [await driver.delete("a/b"), await other.delete("a/b"), await driver.delete("a/b")] == [
            True,
            False,
            False,
        ]
        assert await outcome(other.get("a/b")) is ObjectMissing

    async def test_exactly_one_of_many_deletes_finds_it(self, driver: Driver, other: Driver) -> None:
        await driver.put("a/b", b"x")
        found = await together(*(partial([driver, other][at % 2].delete, "a/b") for at in range(WRITERS)))
        assert Counter(found) == {True: 1, False: WRITERS - 1}

    # Conditions

    async def test_create_has_exactly_one_winner(self, place: Place, driver: Driver, other: Driver) -> None:
        def create(at: int) -> partial[Coroutine[Any, Any, None]]:
            return partial([driver, other][at % 2].create, "deep/er/key", b"%d" % at)

        found = await together(*map(create, range(WRITERS)))
        assert Counter(found) == {None: 1, ObjectExists: WRITERS - 1}
        assert await driver.get("deep/er/key") == b"%d" % found.index(None)
        assert place.leftovers() == []

    async def test_create_works_again_after_delete(self, driver: Driver) -> None:
        await driver.create("a/b", b"1")
        await driver.delete("a/b")
        await driver.create("a/b", b"2")
        assert await driver.get("a/b") == b"2"

    async def test_replace_loses_no_increment(self, place: Place, driver: Driver, other: Driver) -> None:
        await driver.put("a/count", b"0")

        async def increment(mine: Driver) -> None:
            for _ in range(3):
                while True:
                    before = await mine.get("a/count")
                    with contextlib.suppress(ObjectChanged):
                        await mine.replace("a/count", b"%d" % (int(before) + 1), before)
                        break

        await asyncio.gather(*(increment([driver, other][at % 2]) for at in range(8)))
        assert await driver.get("a/count") == b"24"
        assert place.leftovers() == []

    async def test_replace_has_exactly_one_winner(self, driver: Driver, other: Driver) -> None:
        await driver.put("a/b", b"old")
        found = await together(
            *(partial([driver, other][at % 2].replace, "a/b", b"%d" % at, b"old") for at in range(WRITERS))
        )
        assert Counter(found) == {None: 1, ObjectChanged: WRITERS - 1}
        assert await driver.get("a/b") == b"%d" % found.index(None)

    async def test_delete_of_another_state(self, place: Place, driver: Driver) -> None:
        await driver.put("a/b", b"now")
        with pytest.raises(ObjectChanged):
            await driver.delete("a/b", expected=b"before")
        assert await driver.get("a/b") == b"now"
        assert await driver.delete("a/b", expected=b"now")
        assert not await driver.delete("a/b", expected=b"now")
        assert place.leftovers() == []

    async def test_a_write_that_comes_between_is_not_lost(self, driver: Driver, other: Driver) -> None:
        for _ in range(12):
            await driver.put("a/b", b"old")
            await together(
                partial(driver.replace, "a/b", b"replaced", b"old"), partial(other.put, "a/b", b"put")
            )
            assert await driver.get("a/b") == b"put"
            await together(
                partial(driver.delete, "a/b", expected=b"put"), partial(other.put, "a/b", b"again")
            )
            assert await driver.get("a/b") == b"again"
            await together(partial(driver.replace, "a/b", b"back", b"again"), partial(other.delete, "a/b"))
            assert await outcome(driver.get("a/b")) is ObjectMissing

    async def test_put_and_delete_of_one_key_at_once(self, driver: Driver, other: Driver) -> None:
        async def write(mine: Driver) -> None:
            for _ in range(25):
                await mine.put("deep/er/key", b"whole")
                await mine.delete("deep/er/key")

        async def make(mine: Driver) -> None:
            for _ in range(25):
                with contextlib.suppress(ObjectExists):
                    await mine.create("deep/er/key", b"whole")

        await asyncio.gather(write(driver), write(other), make(driver), make(other))
        assert await outcome(driver.get("deep/er/key")) in (b"whole", ObjectMissing)

    # Streams

    async def test_a_big_stream_in_odd_pieces(self, place: Place, driver: Driver, other: Driver) -> None:
        assert await driver.put_stream("a/big", pieces(*odd(BIG, ODD_SIZES))) == len(BIG)
        assert await collect(other.read("a/big")) == BIG
        assert await driver.put_stream("a/big", pieces()) == 0
        assert await other.get("a/big") == b""
        assert place.leftovers() == []

    @pytest.mark.parametrize("error", SOURCE_ERRORS, ids=lambda error: type(error).__name__)
    async def test_a_stream_that_fails_publishes_nothing(
        self, place: Place, driver: Driver, error: Exception
    ) -> None:
        for before in (ObjectMissing, b"old"):
            if isinstance(before, bytes):
                await driver.put("a/b", before)
            with pytest.raises(type(error)) as raised:
                await driver.put_stream("a/b", failing(error, b"x" * 70_000, b"y"))
            assert raised.value is error
            assert await outcome(driver.get("a/b")) == before
            assert place.leftovers() == []

    async def test_a_stream_that_is_cancelled_leaves_nothing(self, place: Place, driver: Driver) -> None:
        reached = asyncio.Event()
        task = asyncio.create_task(driver.put_stream("a/b", paused(b"x", reached, asyncio.Event())))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await outcome(driver.get("a/b")) is ObjectMissing
        assert place.leftovers() == []

    async def test_the_same_stream_at_once(self, place: Place, driver: Driver, other: Driver) -> None:
        found = await together(
            *(
                partial([driver, other][at % 2].put_stream, "a/same", pieces(*odd(BIG, (900_001,))))
                if at % 3
                else partial(driver.put_stream, "a/same", failing(KeyError(at), BIG[:99]))
                for at in range(6)
            )
        )
        assert Counter(found) == {len(BIG): 4, KeyError: 2}
        assert await collect(other.read("a/same")) == BIG
        assert place.leftovers() == []

    # Listings

    NAMES = sorted([
        "0", "1", "V1", "_x", "a", "a+b", "a,b", "a.b", "aa", "latest", "v", "v1", "v1+x", "v1-rc", "v1.0",
        "v1.0-rc.1", "v10", "v1_0", "z" * 128, "sha256:0", "sha256-0",
    ])  # fmt: skip

    async def test_children_are_in_byte_order(self, driver: Driver, other: Driver) -> None:
        folders = {"a", "v1", "v1.0", "_x"}
        for name in random.Random(3).sample(self.NAMES, len(self.NAMES)):
            await driver.put(f"t/{name}/deep" if name in folders else f"t/{name}", b"")
        await driver.put("t/v1/another", b"")
        await driver.put("tt/not-this", b"")
        assert (await other.children("t")).names == tuple(self.NAMES)
        assert await other.children("t/v1") == Page(("another", "deep"), more=False)
        for after in ("", *self.NAMES, "b", "v1-", "v1.", "~", "v1/", "sha256"):
            following = [name for name in self.NAMES if name > after]
            for limit in (1, 2, 5, len(following), 100):
                page = await other.children("t", after=after, limit=limit)
                assert page == Page(tuple(following[:limit]), more=len(following) > limit), (after, limit)

    async def test_a_page_of_nothing(self, driver: Driver) -> None:
        await driver.put("t/x", b"")
        assert await driver.children("t", limit=0) == Page((), more=True)
        assert await driver.children("t", after="x", limit=0) == Page((), more=False)

    async def test_a_folder_goes_with_its_last_object(self, driver: Driver, other: Driver) -> None:
        await driver.put("t/a/tags/x/y", b"")
        await driver.put("t/a/v1", b"")
        assert (await other.children("t/a")).names == ("tags", "v1")
        await driver.delete("t/a/tags/x/y")
        if not self.FOLDERS_GO:
            return
        assert (await other.children("t/a")).names == ("v1",)
        await driver.delete("t/a/v1")
        assert await other.children("t") == Page((), more=False)

    async def test_objects_in_a_folder_that_others_empty(self, driver: Driver, other: Driver) -> None:
        async def come_and_go(mine: Driver, name: str) -> None:
            for at in range(12):
                key = f"deep/er/{name}/{at % 2}/x"
                await mine.put(key, b"%d" % at)
                assert await mine.get(key) == b"%d" % at
                assert await mine.delete(key)

        await asyncio.gather(
            *(come_and_go([driver, other][at % 2], "same" if at < 1 else f"own{at}") for at in range(6))
        )
        assert await driver.children("deep") == Page((), more=False) or not self.FOLDERS_GO
        assert [entry async for entry in driver.walk("deep")] == []

    # Staged objects

    async def test_a_stage_grows_and_is_published(self, place: Place, driver: Driver) -> None:
        await driver.stage("u/1")
        assert await driver.staged("u/1") == 0
        assert await driver.extend("u/1", 0, pieces(b"one", b"", b"two")) == 6
        assert await driver.extend("u/1", 6, pieces()) == 6
        assert await driver.extend("u/1", 6, pieces(b"three")) == 11
        assert await driver.staged("u/1") == 11
        assert await collect(driver.read_staged("u/1")) == b"onetwothree"
        assert await driver.children("b") == Page((), more=False)
        await driver.publish("u/1", "b/x/y", 11)
        assert await driver.get("b/x/y") == b"onetwothree"
        await self.assert_ended(driver)
        assert place.leftovers() == []

    async def test_it_goes_on_where_it_ends(self, place: Place) -> None:
        """Whoever does not say where goes on with what another one has added meanwhile, too."""
        first, second = place.open(), place.open()
        await first.stage("u/1")
        assert await first.extend("u/1", None, pieces(b"one")) == 3
        assert await second.extend("u/1", None, pieces(b"two")) == 6
        assert await first.extend("u/1", None, pieces(b"three")) == 11
        assert await first.extend("u/1", None, pieces()) == 11
        assert await second.extend("u/1", None, pieces(BIG)) == 11 + len(BIG)
        assert await first.extend("u/1", None, pieces(BIG)) == 11 + 2 * len(BIG)
        assert await collect(first.read_staged("u/1")) == b"onetwothree" + BIG + BIG
        await first.discard("u/1")
        assert await outcome(second.extend("u/1", None, pieces(b"x"))) is ObjectMissing
        assert place.leftovers() == []

    async def test_a_stage_that_goes_nowhere(self, place: Place, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"abc"))
        assert await outcome(other.publish("u/1", None, 2)) is StageMoved
        await driver.publish("u/1", None, 3)
        assert await together(partial(driver.publish, "u/1", None, 3), partial(other.staged, "u/1")) == [
            ObjectMissing,
            ObjectMissing,
        ]
        assert place.leftovers() == []

    async def test_what_is_done_then_finds_the_object(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"abc"))
        found: list[bytes] = []

        async def then() -> None:
            found.append(await other.get("b/x"))

        await driver.publish("u/1", "b/x", 3, then=then)
        assert found == [b"abc"]

        async def fail() -> None:
            raise LookupError

        await driver.stage("u/2")
        assert await outcome(driver.publish("u/2", "b/x", 0, then=fail)) is LookupError
        assert await driver.get("b/x") == b""

    async def test_a_stage_that_is_empty_is_published(self, driver: Driver) -> None:
        await driver.stage("u/1")
        await driver.publish("u/1", "b/x", 0)
        assert await driver.get("b/x") == b""

    async def test_a_stage_is_found_under_its_key(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"x"))
        assert (await other.children("u")).names == ("1",)
        assert abs(time.time() - (await other.stat("u/1")).modified) < FUTURE

    async def test_a_stage_is_never_begun_anew(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"kept"))
        assert await outcome(other.stage("u/1")) is (None if self.BEGUN_LATE else ObjectExists)
        assert await outcome(other.extend("u/1", 0, pieces(b"anew"))) is StageMoved
        assert await collect(other.read_staged("u/1")) == b"kept"

    async def test_no_stage(self, driver: Driver) -> None:
        await driver.put("b/old", b"old")
        if self.BEGUN_LATE:  # it is an empty one
            assert await driver.staged("u/1") == 0
            assert await collect(driver.read_staged("u/1")) == b""
            assert await outcome(driver.extend("u/1", 1, pieces(b"x"))) is StageMoved
            assert await outcome(driver.publish("u/1", "b/old", 1)) is StageMoved
            assert await driver.get("b/old") == b"old"
            return
        assert await together(
            partial(driver.staged, "u/1"),
            lambda: driver.extend("u/1", 0, pieces(b"x")),
            lambda: collect(driver.read_staged("u/1")),
            partial(driver.publish, "u/1", "b/old", 0),
            partial(driver.discard, "u/1"),
        ) == [ObjectMissing, ObjectMissing, ObjectMissing, ObjectMissing, False]
        assert await driver.get("b/old") == b"old"

    @pytest.mark.parametrize("offset", [0, 2, 4, 2**40, -1])
    async def test_a_stage_stands_elsewhere(self, driver: Driver, offset: int) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"abc"))
        touched = False

        async def source() -> object:
            nonlocal touched
            touched = True
            yield b"x"

        with pytest.raises(StageMoved) as extended:
            await driver.extend("u/1", offset, source())  # type: ignore[arg-type]
        with pytest.raises(StageMoved) as published:
            await driver.publish("u/1", "b/x", offset)
        assert (extended.value.size, published.value.size, touched) == (3, 3, False)
        assert await outcome(driver.get("b/x")) is ObjectMissing
        assert await collect(driver.read_staged("u/1")) == b"abc"

    @pytest.mark.parametrize("error", SOURCE_ERRORS, ids=lambda error: type(error).__name__)
    async def test_what_came_before_a_failure_stays(
        self, driver: Driver, other: Driver, error: Exception
    ) -> None:
        await driver.stage("u/1")
        with pytest.raises(type(error)) as raised:
            await driver.extend("u/1", 0, failing(error, b"first", b"second"))
        assert raised.value is error
        assert await other.staged("u/1") == 11
        assert await other.extend("u/1", 11, pieces(b"third")) == 16
        await driver.publish("u/1", "b/x", 16)
        assert await driver.get("b/x") == b"firstsecondthird"

    async def test_a_writer_that_is_cancelled(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        reached = asyncio.Event()
        task = asyncio.create_task(driver.extend("u/1", 0, paused(b"came", reached, asyncio.Event())))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await other.extend("u/1", 4, pieces(b" on")) == 7
        assert await collect(driver.read_staged("u/1")) == b"came on"

    async def test_another_driver_goes_on_with_a_stage(self, place: Place) -> None:
        parts = odd(BIG, (700_001, 13))
        await place.open().stage("u/1")
        at = 0
        for part in parts:
            at = await place.open().extend("u/1", at, pieces(part))
        assert await collect(place.open().read_staged("u/1")) == BIG
        await place.open().publish("u/1", "b/x", at)
        assert await collect(place.open().read("b/x")) == BIG

    async def test_one_writer_at_a_time(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        reached, go = asyncio.Event(), asyncio.Event()
        writer = asyncio.create_task(driver.extend("u/1", 0, paused(b"one", reached, go, b"two")))
        await reached.wait()
        await self.noticed(driver)
        for mine in (driver, other):
            assert await outcome(mine.extend("u/1", 0, pieces(b"x"))) is StageBusy
            assert await outcome(mine.extend("u/1", 3, pieces(b"x"))) is StageBusy
            assert await outcome(mine.publish("u/1", "b/x", 3)) is StageBusy
        go.set()
        assert await writer == 6
        assert await other.extend("u/1", 6, pieces(b"x")) == 7
        assert await collect(driver.read_staged("u/1")) == b"onetwox"

    async def test_many_writers_of_one_chunk(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        found = await together(
            *(
                partial([driver, other][at % 2].extend, "u/1", 0, pieces(b"%02d" % at, b"%02d" % at))
                for at in range(16)
            )
        )
        winner = found.index(4)
        assert set(found) <= {4, StageBusy, StageMoved}
        assert found.count(4) == 1
        assert await collect(driver.read_staged("u/1")) == b"%02d%02d" % (winner, winner)

    async def test_what_is_published_grows_no_more(self, driver: Driver, other: Driver) -> None:
        outcomes: Counter[object] = Counter()
        for at in range(30):
            stage, target = f"u/{at}", f"b/{at}"
            await driver.stage(stage)
            await driver.extend(stage, 0, pieces(b"0123456789"))
            turns = [b""] * (at % 7)
            found = await together(
                partial(driver.extend, stage, 10, pieces(b"grown", *turns, b"more")),
                partial(other.publish, stage, target, 10),
            )
            outcomes.update([tuple(map(str, found))])
            if found[1] is None:
                assert found[0] in (ObjectMissing, StageBusy)
                assert await driver.get(target) == b"0123456789"
                assert await outcome(driver.extend(stage, 10, pieces(b"x"))) is ObjectMissing
            else:
                assert found == [19, found[1]]
                assert found[1] in (StageBusy, StageMoved)
                left = await outcome(driver.get(target))
                assert left is ObjectMissing or (left == b"0123456789" and not self.ONE_STEP)

    async def test_exactly_one_publishes(self, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"x"))
        found = await together(
            *(partial([driver, other][at % 2].publish, "u/1", "b/x", 1) for at in range(8))
        )
        assert found.count(None) == 1
        assert set(found) <= {None, ObjectMissing, StageBusy}
        assert await driver.get("b/x") == b"x"

    async def test_publishing_replaces(self, driver: Driver) -> None:
        await driver.put("b/x", b"old and longer")
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"new"))
        await driver.publish("u/1", "b/x", 3)
        assert await driver.get("b/x") == b"new"

    async def test_discard(self, place: Place, driver: Driver, other: Driver) -> None:
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"x"))
        assert [await other.discard("u/1"), await driver.discard("u/1")] == [True, False]
        await self.assert_ended(driver)
        assert place.leftovers() == []

    async def test_a_stage_discarded_under_its_writer_does_not_come_back(
        self, place: Place, driver: Driver, other: Driver
    ) -> None:
        await driver.stage("u/1")
        reached, go = asyncio.Event(), asyncio.Event()
        writer = asyncio.create_task(outcome(driver.extend("u/1", 0, paused(b"one", reached, go, b"two"))))
        await reached.wait()
        await other.discard("u/1")
        go.set()
        await writer
        assert await outcome(driver.publish("u/1", "b/x", 6)) is ObjectMissing
        await self.assert_ended(driver)
        assert place.leftovers() == []

    # Leftovers

    async def test_sweep_removes_what_the_dead_left_and_nothing_else(
        self, place: Place, driver: Driver
    ) -> None:
        await driver.put("a/b", b"object")
        await driver.stage("u/1")
        await driver.extend("u/1", 0, pieces(b"staged"))
        place.abandon()
        assert place.leftovers()
        await driver.sweep(time.time() - FUTURE)
        assert place.leftovers()
        await driver.sweep(time.time() + FUTURE)
        assert place.leftovers() == []
        assert await driver.get("a/b") == b"object"
        assert await collect(driver.read_staged("u/1")) == b"staged"

    # All of it, and elsewhere

    async def test_walk_meets_every_object_below_a_folder(self, driver: Driver, other: Driver) -> None:
        keys = [
            "a/b/c",
            "a/b/d/e",
            "a/b-c",
            "a/f",
            "a/_x/y/z",
            "b/a",
            *(f"a/many/{n:04}" for n in range(1_100)),
        ]
        for chunk in range(0, len(keys), 50):
            await asyncio.gather(*(driver.put(key, key.encode()) for key in keys[chunk : chunk + 50]))
        met = [entry async for entry in other.walk("a")]
        assert sorted(entry.key for entry in met) == sorted(keys[:5] + keys[6:])
        for entry in met[:20]:
            stat = await driver.stat(entry.key)
            assert (entry.size, entry.modified) == (stat.size, pytest.approx(stat.modified, abs=1))
        assert [entry.key async for entry in other.walk("a/b")] == ["a/b/c", "a/b/d/e"]
        assert [entry async for entry in other.walk("none")] == []

    async def test_walk_while_objects_go(self, driver: Driver, other: Driver) -> None:
        await asyncio.gather(*(driver.put(f"a/{n % 7}/{n}", b"") for n in range(70)))
        met = []
        async for entry in other.walk("a"):
            met.append(entry.key)
            await asyncio.gather(*(driver.delete(f"a/{n % 7}/{n}") for n in range(0, 70, 2)))
        assert {f"a/{n % 7}/{n}" for n in range(1, 70, 2)} <= set(met)
        assert len(met) == len(set(met))

    async def test_move(self, place: Place, driver: Driver, other: Driver) -> None:
        await driver.put("a/b/c", BIG)
        assert await driver.move("a/b/c", "trash/a/b/c")
        assert await outcome(other.get("a/b/c")) is ObjectMissing
        assert await other.get("trash/a/b/c") == BIG
        assert (await other.children("a")).names == () or not self.FOLDERS_GO
        assert not await driver.move("a/b/c", "trash/a/b/c")
        await driver.put("a/b/c", b"again")
        assert await driver.move("a/b/c", "trash/a/b/c")
        assert await other.get("trash/a/b/c") == b"again"
        assert place.leftovers() == []

    async def test_move_only_what_is_old(self, driver: Driver) -> None:
        await driver.put("a", b"x")
        written = (await driver.stat("a")).modified
        assert await outcome(driver.move("a", "b/a", before=written)) is ObjectChanged
        assert await outcome(driver.stat("b/a")) is ObjectMissing
        assert await driver.get("a") == b"x"
        await asyncio.sleep(1.1)  # some stores count seconds
        await driver.put("c", b"")
        assert await driver.move("a", "b/a", before=written + 1)
        moved = (await driver.stat("b/a")).modified
        assert moved >= (await driver.stat("c")).modified
        assert not await driver.move("a", "b/a", before=written + 1)

    async def test_exactly_one_of_many_moves_finds_it(self, driver: Driver, other: Driver) -> None:
        for _ in range(5):
            await driver.put("a/b", b"x")
            moves = [partial(who.move, "a/b", f"t/{at}") for at, who in enumerate((driver, other) * 4)]
            outcomes = await together(*moves)
            assert Counter(outcomes) == {True: 1, False: 7}
            left = (await driver.children("t")).names
            assert str(outcomes.index(True)) in left
            assert len(left) == 1 or not self.ONE_STEP
            for name in left:
                assert await driver.get(f"t/{name}") == b"x"
                await driver.delete(f"t/{name}")
