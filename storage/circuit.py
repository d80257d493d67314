"""Whether a store is worth asking: when it has failed, one asks, and everybody else is told at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from types import NoneType
from typing import TypeVar

from storage.driver import ObjectChanged, ObjectExists, ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreFull, StoreUnavailable

_log = logging.getLogger("sidecargo.store")

LEAST = 1.0
"""Seconds from a failure to the first probe; each that fails doubles them."""

MOST = 10.0
"""Seconds between probes, at most."""

PATIENCE = 5.0
"""Seconds for which a small question waits while the store answers nothing: its time-outs are far longer."""

# What only a store that works can answer.
_ANSWERS = (ObjectMissing, ObjectExists, ObjectChanged, StageBusy, StageMoved, StoreFull)

T = TypeVar("T")


class Circuit:
    """Closed while the store answers. A failure opens it, any answer closes it.

    While it is open nobody waits for the store's time-outs: whoever comes is refused, and one `probe` at
    a time goes out in the background, begun by somebody who comes when it is due. A failure of a call
    during which the store has answered others says nothing of the store and opens nothing. A store that
    takes questions and is silent has failed, too.

    `failures` only grows: calls that ended in StoreUnavailable.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], clock: Callable[[], float]) -> None:
        self.failures = 0
        self._probe = probe
        self._clock = clock
        self._answered: float | None = None
        self._opened: float | None = None
        self._due = 0.0
        self._wait = LEAST
        self._probing: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether the store is not to be asked."""
        return self._opened is not None

    @property
    def degraded(self) -> float | None:
        """Since when it is open, in Unix seconds; None while it is closed."""
        return None if self._opened is None else time.time() - (self._clock() - self._opened)

    @property
    def answered(self) -> float | None:
        """When the store answered last, by the clock; None when it never did."""
        return self._answered

    def refusal(self) -> StoreUnavailable:
        """What to raise instead of asking; begins the probe when it is due."""
        self.nudge()
        return StoreUnavailable(
            "the store does not answer.",
            fix="Try again a little later; the server's log has the reason.",
            retry_after=max(1, math.ceil(self._due - self._clock())),
        )

    def nudge(self) -> None:
        """Begin the probe in the background when one is due; for the running event loop."""
        if self._opened is not None and self._probing is None and self._clock() >= self._due:
            self._probing = asyncio.get_running_loop().create_task(self._try())

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a small question that changes nothing; how it ends is noted.

        Raises StoreUnavailable also when the store is silent. Its answer closes the circuit when it comes.
        """
        began = since = self._clock()
        asking = asyncio.ensure_future(question())
        try:
            while not (await asyncio.wait((asking,), timeout=PATIENCE))[0]:
                if self._is_silent(since):
                    asking.add_done_callback(self._late)
                    error = StoreUnavailable("the store is silent.", fix="Try again a little later.")
                    self._fail(since, error)
                    raise error
                since = self._clock()
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            raise
        with self.calling(began):
            return asking.result()

    @contextlib.contextmanager
    def calling(self, began: float | None = None) -> Iterator[None]:
        """A call of the store that began now, or then: how it ends is noted.

        What is not the store's, as a source that ends early or a cancellation, says nothing.
        """
        began = self._clock() if began is None else began
        try:
            yield
        except StoreUnavailable as error:
            self._fail(began, error)
            raise
        except _ANSWERS:
            self._succeed()
            raise
        else:
            self._succeed()

    async def close(self) -> None:
        """End the probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _try(self) -> None:
        try:
            with contextlib.suppress(StoreUnavailable, *_ANSWERS):
                await self.ask(self._probe)
        finally:
            self._probing = None
            if self._opened is not None:
                self._wait = min(2 * self._wait, MOST)
                self._due = self._clock() + self._wait

    def _is_silent(self, since: float) -> bool:
        return self._answered is None or self._answered <= since

    def _late(self, asking: asyncio.Future[T]) -> None:
        if not asking.cancelled() and isinstance(asking.exception(), (NoneType, *_ANSWERS)):
            self._succeed()

    def _succeed(self) -> None:
        now = self._answered = self._clock()
        if self._opened is not None:
            _log.warning("the store answers again after %.0f s", now - self._opened)
            self._opened = None

    def _fail(self, began: float, error: StoreUnavailable) -> None:
        self.failures += 1
        if self._opened is None and self._is_silent(began):
            self._opened = self._clock()
            self._wait = LEAST
            self._due = self._opened + LEAST
            _log.error("the store fails, what was seen last is served: %s", error, exc_info=error)
