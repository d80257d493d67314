"""`Glance`: one look a step of the loop, and never one from before a request began."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from registry.hot.glance import Glance


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


def test_a_step_looks_once_at_each_key(runner: asyncio.Runner) -> None:
    store = Store()

    async def step() -> None:
        glance = Glance(store, asyncio.get_running_loop())
        answers = [glance.peek("tag"), glance.peek("tag"), glance.peek("none"), glance.peek("none")]
        assert answers == [b"old", b"old", None, None]

    with runner:
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
