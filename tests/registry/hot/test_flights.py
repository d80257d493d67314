import asyncio

import pytest

from registry.hot.flights import Flights


class Load:
    """A load that waits for the test and counts how often it was begun."""

    def __init__(self, result: bytes | Exception = b"content") -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.result = result

    async def __call__(self) -> bytes:
        self.begun += 1
        await self.gate.wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def under_way(*waiting: asyncio.Task[bytes | None]) -> None:
    """Let tasks begin."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)


async def test_a_herd_loads_once() -> None:
    flights, load = Flights(), Load()
    herd = [asyncio.create_task(flights.once("a", 10, load)) for _ in range(50)]
    await under_way(*herd)
    load.gate.set()
    assert set(await asyncio.gather(*herd)) == {b"content"}
    assert load.begun == 1
    assert await flights.once("a", 10, load) == b"content"
    assert load.begun == 2, "nothing is kept"


async def test_others_load_their_own() -> None:
    flights, loads = Flights(), [Load(b"a"), Load(b"b")]
    for load in loads:
        load.gate.set()
    assert await asyncio.gather(*(flights.once(load, 1, load) for load in loads)) == [b"a", b"b"]


async def test_a_failure_is_everybody_s_and_forgotten() -> None:
    flights, load = Flights(budget=10), Load(ValueError("broken"))
    herd = [asyncio.create_task(flights.once("a", 10, load)) for _ in range(3)]
    await under_way(*herd)
    load.gate.set()
    results = await asyncio.gather(*herd, return_exceptions=True)
    assert [str(result) for result in results] == ["broken"] * 3
    load.result = b"content"
    assert await flights.once("a", 10, load) == b"content"


async def test_one_who_leaves_leaves_the_others() -> None:
    flights, load = Flights(budget=10), Load()
    first, second = (asyncio.create_task(flights.once("a", 10, load)) for _ in range(2))
    await under_way(first, second)
    first.cancel()
    load.gate.set()
    assert await second == b"content"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_when_all_leave_the_budget_comes_back() -> None:
    flights, load = Flights(budget=10), Load()
    only = asyncio.create_task(flights.once("a", 10, load))
    await under_way(only)
    only.cancel()
    load.gate.set()
    await asyncio.gather(only, return_exceptions=True)
    assert await flights.once("b", 10, load) == b"content"


async def test_the_budget_holds_also_for_those_that_come_at_once() -> None:
    flights, load = Flights(budget=100), Load()
    tasks = [asyncio.create_task(flights.once(key, 40, load)) for key in "abcdd"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert load.begun == 2
    assert [task.done() for task in tasks] == [False, False, True, True, True]
    # One that is on its way already costs nothing more.
    joined = asyncio.create_task(flights.once("a", 40, load))
    load.gate.set()
    assert await asyncio.gather(*tasks, joined) == [b"content", b"content", None, None, None, b"content"]
    assert await flights.once("c", 100, load) == b"content"
    assert await flights.once("c", 101, load) is None
