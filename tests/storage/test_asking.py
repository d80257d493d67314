from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.asking import Asking
from storage.circuit import Circuit
from storage.disk import DiskDriver
from storage.driver import Driver, ObjectMissing
from storage.errors import StoreUnavailable
from storage.memory import Kind, Memory, Seen
from tests.storage.driver_contract import BIG, DriverContract
from tests.storage.folder import InFolder
from tests.storage.streams import collect, failing, outcome, pieces
from tests.storage.unsteady import Clock, Unsteady


def asking(store: Driver, memory: Memory | None = None) -> Asking:
    """A view whose clock stands still."""
    clock = Clock()
    return Asking(store, memory or Memory(1 << 20), Circuit(lambda: store.stat("format"), clock), clock)


class Place(InFolder):
    """A folder as a place (`driver_contract.Place`)."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.memory = Memory(1 << 20)

    def open(self) -> Driver:
        return asking(DiskDriver(self.root), self.memory)


class TestContract(DriverContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> Unsteady:
    return Unsteady(DiskDriver(tmp_path / "store"))


async def test_what_was_seen_is_asked_again(store: Unsteady) -> None:
    memory = Memory(1 << 20)
    memory.keep((Kind.CONTENT, "a/b"), Seen(b"of before", 1000.0))
    assert await outcome(asking(store.driver, memory).get("a/b")) is ObjectMissing


CALLS: dict[str, Callable[[Driver], Awaitable[object]]] = {
    "get": lambda driver: driver.get("a/b"),
    "stat": lambda driver: driver.stat("a/b"),
    "read": lambda driver: collect(driver.read("a/b")),
    "children": lambda driver: driver.children("a"),
    "put": lambda driver: driver.put("a/b", b""),
    "put_in_order": lambda driver: driver.put_in_order([{"a/b": b""}]),
    "create": lambda driver: driver.create("a/c", b""),
    "replace": lambda driver: driver.replace("a/b", b"", b"old"),
    "put_stream": lambda driver: driver.put_stream("a/b", pieces(b"x")),
    "delete": lambda driver: driver.delete("a/b"),
    "move": lambda driver: driver.move("a/b", "trash/a/b"),
    "staged": lambda driver: driver.staged("u/1"),
    "extend": lambda driver: driver.extend("u/1", 0, pieces(b"x")),
    "read_staged": lambda driver: collect(driver.read_staged("u/1")),
    "publish": lambda driver: driver.publish("u/1", "a/b", 0),
    "discard": lambda driver: driver.discard("u/1"),
    "sweep": lambda driver: driver.sweep(0.0),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_every_call_that_fails_is_noticed(
    store: Unsteady, call: Callable[[Driver], Awaitable[object]]
) -> None:
    await store.put("a/b", b"old")
    await store.stage("u/1")
    view = asking(store.driver)
    store.down = True
    assert await outcome(call(view)) is StoreUnavailable
    asked = len(store.calls)
    assert view._circuit.open
    assert await outcome(call(view)) is StoreUnavailable
    assert len(store.calls) == asked, "the store is left alone"


async def test_what_is_begun_says_nothing_of_the_store(store: Unsteady) -> None:
    view = asking(store.driver)
    await view.stage("u/1")
    assert view._circuit.answered is None
    store.down = True
    assert await outcome(view.stage("u/2")) is StoreUnavailable
    assert not view._circuit.open
    assert await outcome(view.staged("u/1")) is StoreUnavailable
    store.down = False
    assert await outcome(view.stage("u/2")) is StoreUnavailable, "it is left alone"
    assert view._circuit.open


async def test_a_reader_that_is_closed_leaves_the_store(store: Unsteady) -> None:
    await store.put_stream("a/big", pieces(BIG))
    view = asking(store.driver)
    reader = view.read("a/big")
    await anext(reader)
    await reader.aclose()  # type: ignore[attr-defined]
    assert not view._circuit.open


async def test_a_store_that_fails_in_the_middle_of_an_object(store: Unsteady) -> None:
    await store.put_stream("a/big", pieces(BIG))
    view = asking(store.driver)
    reader = view.read("a/big")
    await anext(reader)
    store.down = True
    with pytest.raises(StoreUnavailable):
        await anext(reader)
    assert view._circuit.open


async def test_a_source_that_fails_is_no_failure_of_the_store(store: Unsteady) -> None:
    view = asking(store.driver)
    assert await outcome(view.put_stream("a/b", failing(ConnectionResetError(), b"x", b"y"))) is (
        ConnectionResetError
    )
    task = asyncio.create_task(view.put("a/b", b"x"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (view._circuit.open, view._circuit.failures) == (False, 0)
