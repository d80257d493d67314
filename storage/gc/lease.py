"""Whose turn it is: one object that says when the last run began, replaced by whoever begins the next one.

Replicas need not agree for a run to be right; they do not all do the same work at once.
"""

from __future__ import annotations

import contextlib

from storage import paths, records
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import StoreUnavailable


async def taken(driver: Driver, *, now: float, interval: float) -> bool:
    """Whether it is the caller's turn: the last run began `interval` seconds before `now`, or earlier.

    Of many that ask at once one is told so. In a store that never had a run, the first is an interval away.
    """
    mine = records.write({"began": round(now, 3)})
    try:
        held = await driver.get(paths.COLLECTED)
    except ObjectMissing:
        with contextlib.suppress(ObjectExists):
            await driver.create(paths.COLLECTED, mine)
        return False
    # A time to come is that of a clock that was wrong.
    if 0 <= now - _began(held) < interval:
        return False
    try:
        await driver.replace(paths.COLLECTED, mine, held)
    except ObjectChanged:
        return False
    return True


def _began(held: bytes) -> float:
    """When the last run began; long ago where the object is damaged."""
    try:
        began = records.read(held, paths.COLLECTED).get("began")
    except StoreUnavailable:
        return 0.0
    return float(began) if isinstance(began, int | float) and not isinstance(began, bool) else 0.0
