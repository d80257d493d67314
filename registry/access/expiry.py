"""What expires announces it: 30, 7 and 1 days ahead, and when it is over. Data in, data out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from registry.access.robots import Robot

ROBOT, URL = "robot", "url"
DAY = 86400.0
AHEAD = 30 * DAY
"""From when on an end is near."""

_STEPS = (AHEAD, 7 * DAY, DAY, 0.0)


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends: its kind, how it is called, and when (Unix seconds)."""

    kind: str
    name: str
    at: float

    def is_near(self, now: float) -> bool:
        """Whether it ends within 30 days, or is over."""
        return _passed(self.at, now) > 0

    def told(self, now: float) -> str:
        """A sentence about it."""
        day = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if now >= self.at:
            return f"the {self.kind} {self.name} expired on {day}"
        days = math.ceil((self.at - now) / DAY)
        return f"the {self.kind} {self.name} expires on {day}, within {days} day{'s' if days > 1 else ''}"


def of_robots(robots: Iterable[Robot]) -> Iterator[Ending]:
    """When robots end; nothing of those that do not."""
    for robot in robots:
        if robot.ends is not None:
            yield Ending(ROBOT, robot.name, robot.ends)


def due(endings: Iterable[Ending], last: float, now: float) -> list[Ending]:
    """What is to be said now, the nearest end first, where the last time to say something was `last`."""
    return sorted(
        (one for one in endings if _passed(one.at, now) > _passed(one.at, last)), key=lambda one: one.at
    )


def _passed(at: float, now: float) -> int:
    """How many of the steps towards an end are behind."""
    return sum(now >= at - step for step in _STEPS)
