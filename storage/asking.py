"""A driver in front of another one that notes how each call ends, and what each write leaves.

Every read asks the store. This is for stories that write: they look again after a write of theirs, and a
look at what was seen before it would show nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from storage.circuit import Circuit
from storage.driver import Driver, Entry, Page, Stat, nothing
from storage.memory import Memory

T = TypeVar("T")


class Asking:
    """A `storage.driver.Driver` over another one, with all its promises.

    After a failure it raises StoreUnavailable at once, until the store answers again (`Circuit`).
    """

    def __init__(self, driver: Driver, memory: Memory, circuit: Circuit, clock: Callable[[], float]) -> None:
        self._driver = driver
        self._memory = memory
        self._circuit = circuit
        self._clock = clock

    @property
    def remote(self) -> bool:
        """See `storage.driver.Driver`."""
        return self._driver.remote

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        return await self._ask(lambda: self._driver.get(key))

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        return await self._ask(lambda: self._driver.stat(key))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        async with self._all(self._driver.read(key, start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def put(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._write({key: data}, lambda: self._driver.put(key, data))

    async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
        """See `storage.driver.Driver`."""
        left = {key: data for one in steps for key, data in one.items()}
        await self._write(left, lambda: self._driver.put_in_order(steps))

    async def create(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._write({key: data}, lambda: self._driver.create(key, data))

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """See `storage.driver.Driver`."""
        await self._write({key: data}, lambda: self._driver.replace(key, data, expected))

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await self._write({key: None}, lambda: self._driver.put_stream(key, source))

    async def delete(self, key: str, *, expected: bytes | None = None) -> bool:
        """See `storage.driver.Driver`."""
        return await self._write({key: None}, lambda: self._driver.delete(key, expected=expected))

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """See `storage.driver.Driver`."""
        return await self._write(
            {key: None, target: None}, lambda: self._driver.move(key, target, before=before)
        )

    async def walk(self, prefix: str) -> AsyncIterator[Entry]:
        """See `storage.driver.Driver`."""
        async with self._all(self._driver.walk(prefix)) as entries:
            async for entry in entries:
                yield entry

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        return await self._ask(lambda: self._driver.children(prefix, after=after, limit=limit))

    async def stage(self, key: str) -> None:
        """See `storage.driver.Driver`."""
        self._admit()
        with self._memory.writing({key: None}, self._clock()):
            await self._driver.stage(key)  # the store need not have been asked: it has said nothing

    async def staged(self, key: str) -> int:
        """See `storage.driver.Driver`."""
        return await self._ask(lambda: self._driver.staged(key))

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await self._write({key: None}, lambda: self._driver.extend(key, offset, source))

    async def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        async with self._all(self._driver.read_staged(key)) as pieces:
            async for piece in pieces:
                yield piece

    async def publish(
        self, key: str, target: str | None, size: int, *, then: Callable[[], Awaitable[object]] = nothing
    ) -> None:
        """See `storage.driver.Driver`."""
        touched = {key: None} if target is None else {key: None, target: None}
        await self._write(touched, lambda: self._driver.publish(key, target, size, then=then))

    async def discard(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self._write({key: None}, lambda: self._driver.discard(key))

    async def sweep(self, before: float) -> None:
        """See `storage.driver.Driver`."""
        await self._write({}, lambda: self._driver.sweep(before))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        self._admit()
        return await self._circuit.ask(question)

    async def _write(self, left: Mapping[str, bytes | None], call: Callable[[], Awaitable[T]]) -> T:
        self._admit()
        with self._memory.writing(left, self._clock()), self._circuit.calling():
            return await call()

    @contextlib.asynccontextmanager
    async def _all(self, stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
        """A stream of the store's, left when the reader leaves it."""
        self._admit()
        async with contextlib.aclosing(stream):  # type: ignore[type-var]
            with self._circuit.calling():
                yield stream

    def _admit(self) -> None:
        if self._circuit.open:
            raise self._circuit.refusal()
