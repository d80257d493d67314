"""What expires announces it: 30, 7 and 1 days ahead, and when it is over. Data in, data out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from registry.access.robots import Robot

CERTIFICATE, ROBOT, URL = "certificate", "robot", "url"
DAY = 86400.0
AHEAD = 30 * DAY
"""From when on an end is near."""

_STEPS = (AHEAD, 7 * DAY, DAY, 0.0)


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends: its kind, how it is called, when (Unix seconds), and how long it lasts from its beginning.

    What lasts a month only is not near its end from its first day on: of the days ahead those count that
    leave it half of its life.
    """

    kind: str
    name: str
    at: float
    life: float = math.inf

    def is_near(self, now: float) -> bool:
        """Whether it ends within 30 days, or is over."""
        return self.passed(now) > 0

    def passed(self, now: float) -> int:
        """How many of the steps towards its end are behind."""
        return sum(now >= self.at - step for step in _STEPS if step <= self.life / 2)

    def told(self, now: float) -> str:
        """A sentence about it."""
        if now >= self.at:
            return f"the {self.kind} {self.name} expired on {day(self.at)}"
        days = math.ceil((self.at - now) / DAY)
        within = f"{days} days" if days > 1 else "1 day"
        return f"the {self.kind} {self.name} expires on {day(self.at)}, within {within}"


def day(seconds: float) -> str:
    """How a moment is written in a sentence."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def of_robots(robots: Iterable[Robot]) -> Iterator[Ending]:
    """When robots end; nothing of those that do not."""
    for robot in robots:
        if robot.ends is not None:
            yield Ending(ROBOT, robot.name, robot.ends)


def due(endings: Iterable[Ending], last: float, now: float) -> list[Ending]:
    """What is to be said now, the nearest end first, where the last time to say something was `last`."""
    return sorted((one for one in endings if one.passed(now) > one.passed(last)), key=lambda one: one.at)
