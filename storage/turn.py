"""Whose turn it is: one object that says when something was begun last, replaced by whoever begins it next.

Replicas need not agree for it to be right; they do not all do the same work at once.
"""

from __future__ import annotations

import contextlib

from storage import records
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import StoreUnavailable

NEVER = -1.0
"""The last time, where there was none."""


async def taken(driver: Driver, key: str, *, now: float, interval: float) -> float | None:
    """When it was begun last, where it is the caller's turn; None where it is not.

    That is so where it was `interval` seconds before `now`, or earlier, or NEVER. Of many that ask at once
    one is told so.
    """
    mine = records.write({"began": round(now, 3)})
    try:
        held = await driver.get(key)
    except ObjectMissing:
        with contextlib.suppress(ObjectExists):
            await driver.create(key, mine)
            return NEVER
        return None
    last = _began(held, key)
    # A time to come is that of a clock that was wrong.
    if 0 <= now - last < interval:
        return None
    try:
        await driver.replace(key, mine, held)
    except ObjectChanged:
        return None
    return last


def _began(held: bytes, key: str) -> float:
    """When the last one began; long ago where the object is damaged."""
    try:
        began = records.read(held, key).get("began")
    except StoreUnavailable:
        return 0.0
    return float(began) if isinstance(began, int | float) and not isinstance(began, bool) else 0.0
