"""Sweeping: abandoned uploads, refusals, and what writers that died left behind, go after their time."""

from __future__ import annotations

import asyncio
import contextlib

from storage import paths
from storage.driver import Driver, ObjectMissing
from storage.uploads import EMPTY_SECONDS

_AT_ONCE = 64
_PAGE = 1000


async def abandoned(driver: Driver, *, before: float) -> int:
    """Remove every upload that received nothing since `before` (Unix seconds); how many there were.

    What is left of ended ones goes when nobody takes them for new ones any more.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def sweep(name: str) -> bool:
        key = f"{paths.UPLOADS}/{name}"
        async with gate:
            with contextlib.suppress(ObjectMissing):
                found = await driver.stat(key)
                ended = driver.remote and not found.size
                old = found.modified < (before - EMPTY_SECONDS if ended else before)
                return old and await driver.delete(key) and not ended
            return False

    swept, after, more = 0, "", True
    while more:
        page = await driver.children(paths.UPLOADS, after=after, limit=_PAGE)
        swept += sum(await asyncio.gather(*(sweep(name) for name in page.names)))
        after, more = (page.names[-1] if page.names else after), page.more
    await driver.sweep(before)
    return swept


async def refusals(driver: Driver, *, before: float) -> int:
    """Remove every refusal that was kept before that time (Unix seconds); how many there were."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def sweep(key: str) -> bool:
        async with gate:
            with contextlib.suppress(ObjectMissing):
                return (await driver.stat(key)).modified < before and await driver.delete(key)
            return False

    swept = 0
    for repository in (await driver.children(paths.REFUSALS)).names:
        folder = f"{paths.REFUSALS}/{repository}"
        page = await driver.children(folder)
        swept += sum(await asyncio.gather(*(sweep(f"{folder}/{name}") for name in page.names)))
    return swept
