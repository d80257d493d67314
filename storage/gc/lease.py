"""Whose turn it is to collect garbage."""

from __future__ import annotations

from storage import paths, turn
from storage.driver import Driver


async def taken(driver: Driver, *, now: float, interval: float) -> bool:
    """Whether it is the caller's turn: the last run began `interval` seconds before `now`, or earlier.

    Of many that ask at once one is told so. In a store that never had a run, the first is an interval away.
    """
    last = await turn.taken(driver, paths.COLLECTED, now=now, interval=interval)
    return last is not None and last != turn.NEVER
