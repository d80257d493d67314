"""The helper that forces interleavings comes to an end, however long a story stays away from its driver."""

from __future__ import annotations

import asyncio
import time

from storage.disk import DiskDriver
from tests.storage.turns import Turns


async def test_a_story_that_is_in_a_thread_is_waited_for(driver: DiskDriver) -> None:
    turns, gated = Turns.over(driver)

    async def story() -> bytes:
        for _ in range(3):
            await asyncio.to_thread(time.sleep, 0.02)
            await gated.put("a/b", b"x")
        await asyncio.to_thread(time.sleep, 0.02)
        return await gated.get("a/b")

    outcomes, given = await turns.play([1, 0, 0, 1], story, story)
    assert (outcomes, sorted(given)) == ([b"x", b"x"], [0] * 4 + [1] * 4)
