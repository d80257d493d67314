"""What a process does now and then beside serving: sweep, count, and see whether it is still wanted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from registry.metrics import SHARED_FOLDER, Metrics
from storage.errors import StoreError
from storage.store import Store

_log = logging.getLogger("sidecargo")


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so many seconds, the first time at once."""

    seconds: float
    do: Callable[[], Awaitable[None]]

    async def for_ever(self) -> None:
        """Do it until cancelled."""
        while True:
            await self.do()
            await asyncio.sleep(self.seconds)


@contextlib.asynccontextmanager
async def under_way(chores: Sequence[Chore]) -> AsyncIterator[None]:
    """Do the chores meanwhile."""
    tasks = [asyncio.create_task(chore.for_ever()) for chore in chores]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def sweep(store: Store, age: float) -> None:
    """Remove uploads that received nothing for `age` seconds, and what writers that died left behind."""
    try:
        swept = await store.sweep(age=age)
    except StoreError as error:
        _log.warning("uploads were not swept: %s", error)
    else:
        if swept:
            _log.info("swept %d abandoned uploads", swept)


async def count(metrics: Metrics) -> None:
    """Share what the hot path has counted; the folder of the counts stays young, so it is not swept."""
    metrics.note_hot()
    if folder := os.environ.get(SHARED_FOLDER):
        os.utime(folder)
