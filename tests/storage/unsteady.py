"""A store that a test counts, holds up and breaks, over a real driver; and a clock that a test moves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from storage.driver import Driver
from storage.errors import StoreUnavailable

WRITES = frozenset((
    "put", "put_in_order", "create", "replace", "put_stream", "delete", "move",
    "stage", "extend", "publish", "discard",
))  # fmt: skip
_STREAMS = frozenset(("read", "read_staged", "walk"))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Where a call waits that has been done, before it returns: `reached`, then `go`."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()


class Unsteady:
    """A driver whose calls are noted in `calls` as (name, key).

    While `down` they raise StoreUnavailable; while `mute` they do so when they are done. A call named in
    `gates` is held up there once, done (a stream: at its first piece). With `shuffle` each takes some turns
    of the loop, before and after. `written` is called after a write.
    """

    def __init__(self, driver: Driver) -> None:
        self.calls: list[tuple[str, str]] = []
        self.down = False
        self.mute = False
        self.gates: dict[str, Gate] = {}
        self.shuffle: random.Random | None = None
        self.written: Callable[[], None] = lambda: None
        self._inner = driver

    @property
    def driver(self) -> Driver:
        """The same as a driver."""
        return cast(Driver, self)

    def asked(self, name: str, key: str | None = None) -> int:
        """How many calls of that name there were, for that key."""
        return sum(call == name and key in (None, of) for call, of in self.calls)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._note(name, args)
            await self._turns()
            try:
                result = await found(*args, **options)
                if name in WRITES:
                    self.written()
                return result
            finally:
                await self._held(name)

        async def stream(*args: Any, **options: Any) -> AsyncIterator[Any]:
            self._note(name, args)
            async with contextlib.aclosing(found(*args, **options)) as pieces:
                async for piece in pieces:
                    if self.down:
                        raise _failure()
                    await self._gated(name)
                    yield piece

        return stream if name in _STREAMS else call

    def _note(self, name: str, args: tuple[Any, ...]) -> None:
        self.calls.append((name, str(args[0])))
        if self.down:
            raise _failure()

    async def _gated(self, name: str) -> None:
        gate = self.gates.pop(name, None)
        if gate is not None:
            gate.reached.set()
            await gate.go.wait()

    async def _held(self, name: str) -> None:
        await self._gated(name)
        await self._turns()
        if self.mute:
            raise _failure()

    async def _turns(self) -> None:
        if self.shuffle is not None:
            for _ in range(self.shuffle.randrange(6)):
                await asyncio.sleep(0)


def _failure() -> StoreUnavailable:
    return StoreUnavailable("the store is down.", fix="Start it.")
