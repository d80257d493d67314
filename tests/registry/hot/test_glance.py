"""`Glance`: one look a step of the loop, and never one from before a request began."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from registry.hot.cache import HotCache
from registry.hot.glance import Glance
from storage.disk import DiskDriver
from storage.driver import Witness
from storage.remembered import Remembered
from tests.storage.unsteady import Clock, Unsteady

AUDIENCE = "everybody"
TARGET = b"/v2/r/manifests/v1"


class Store:
    """A `Peek` that counts how often it is asked."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {"tag": b"old"}
        self.asked: list[str] = []

    def peek(self, key: str) -> bytes | None:
        self.asked.append(key)
        return self.content.get(key)


@pytest.fixture
def runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def test_a_step_looks_once_at_each_key() -> None:
    store = Store()

    class Loop(uvloop.Loop):
        def time(self) -> float:  # else a step may last longer than a tick of the clock
            return 1.0

    async def step() -> None:
        glance = Glance(store, asyncio.get_running_loop())
        answers = [glance.peek("tag"), glance.peek("tag"), glance.peek("none"), glance.peek("none")]
        assert answers == [b"old", b"old", None, None]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(step())
    assert store.asked == ["tag", "none"]


def test_the_next_step_looks_again(runner: asyncio.Runner) -> None:
    store = Store()

    async def steps() -> None:
        glance = Glance(store, asyncio.get_running_loop())
        for number in range(100):
            store.content["tag"] = b"%d" % number
            assert glance.peek("tag") == b"%d" % number
            await asyncio.sleep(0)

    with runner:
        runner.run(steps())
    assert len(store.asked) == 100


def test_a_clock_that_moved_on_ends_the_look() -> None:
    """libuv may wait for sockets again within a step; the clock then has moved."""
    store = Store()

    class Loop(asyncio.SelectorEventLoop):
        now = 1.0

        def time(self) -> float:
            return self.now

    with asyncio.Runner(loop_factory=Loop) as runner:

        async def step() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Loop)
            glance = Glance(store, loop)
            assert glance.peek("tag") == b"old"
            store.content["tag"] = b"new"
            assert glance.peek("tag") == b"old"
            loop.now = 1.001
            assert glance.peek("tag") == b"new"

        runner.run(step())


class Hot:
    """What is hot over a store that remembers, and whose calls are counted."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.others = DiskDriver(root)
        self.store = Unsteady(DiskDriver(root))
        self.remembered = Remembered(self.store.driver, clock=self.clock)
        self.glance = Glance(self.remembered, asyncio.get_running_loop())
        self.cache = HotCache(1 << 20)

    async def slow(self) -> bytes:
        """An answer of the application, which the cache is offered."""
        record = await self.remembered.get("r/_tags/v1")
        body = b"the manifest " + record
        headers = [(b"content-length", b"%d" % len(body))]
        self.cache.offer(TARGET, AUDIENCE, headers, body, Witness("r/_tags/v1", record))
        return body

    async def settle(self) -> None:
        """Let what is renewed in the background come to its end, however slow this machine is."""
        while tasks := self.remembered._tasks:
            await asyncio.wait(tasks)

    def fast(self) -> bytes | None:
        """An answer of the hot path, if it has one."""
        entry = self.cache.find((TARGET, AUDIENCE))
        assert entry is not None
        seen = self.glance.peek(entry.witness_key) or b""
        return entry.body if seen.startswith(entry.witness_content) else None


@pytest.fixture
def hot_store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_hot_tag_costs_the_store_a_call_a_second(runner: asyncio.Runner, hot_store: Path) -> None:
    async def seconds() -> None:
        hot = Hot(hot_store)
        await hot.others.put("r/_tags/v1", b"one")
        assert await hot.slow() == b"the manifest one"
        assert hot.store.calls == [("get", "r/_tags/v1")]
        for second in range(1, 4):
            for number in range(10_000):
                hot.clock.now += 0.0001
                assert hot.fast() == b"the manifest one", "nothing falls through"
                await asyncio.sleep(0)
                if number % 1000 == 0:
                    await hot.settle()
            assert len(hot.store.calls) <= 1 + second
        await hot.remembered.close()

    with runner:
        runner.run(seconds())


def test_a_hot_tag_that_is_moved_is_seen_within_two_seconds(runner: asyncio.Runner, hot_store: Path) -> None:
    async def move() -> None:
        hot = Hot(hot_store)
        await hot.others.put("r/_tags/v1", b"one")
        await hot.slow()
        for _ in range(100):
            await hot.others.put("r/_tags/v1", b"one")
            hot.clock.now += 0.013
            hot.fast()
        await hot.others.put("r/_tags/v1", b"two")
        moved = hot.clock.now
        while hot.fast():
            hot.clock.now += 0.01
            await hot.settle()
            await asyncio.sleep(0)
        assert hot.clock.now - moved < 2
        assert await hot.slow() == b"the manifest two"
        assert hot.fast() == b"the manifest two"
        await hot.remembered.close()

    with runner:
        runner.run(move())


def test_what_is_hot_is_answered_while_the_store_fails(runner: asyncio.Runner, hot_store: Path) -> None:
    async def fail() -> None:
        hot = Hot(hot_store)
        await hot.others.put("r/_tags/v1", b"one")
        await hot.slow()
        hot.store.down = True
        hot.clock.now += 60
        assert hot.fast() is None, "the first who asks finds out"
        await hot.slow()
        for _ in range(800):
            await asyncio.sleep(0)
            hot.clock.now += 1
            assert hot.fast() == b"the manifest one"
        assert len(hot.store.calls) < 100, "probes and nothing else"
        await hot.remembered.close()

    with runner:
        runner.run(fail())
