from __future__ import annotations

from datetime import date

import pytest

from registry.access import expiry
from registry.access.expiry import CERTIFICATE, DAY, ROBOT, URL, Ending
from registry.access.robots import Robot

AT = 1_000 * DAY
ONE = Ending(ROBOT, "mesh", AT)


@pytest.mark.parametrize(
    ("last", "now", "is_said"),
    [
        (-40.0, -31.0, False),
        (-31.0, -30.0, True),
        (-30.0, -29.0, False),
        (-29.0, -8.0, False),
        (-8.0, -7.0, True),
        (-2.0, -1.0, True),
        (-1.0, -0.5, False),
        (-0.5, 0.0, True),
        (0.0, 1.0, False),
        (-40.0, -5.0, True),
        (-40.0, 5.0, True),
        (-40.0, -40.0, False),
        (-5.0, -5.0, False),
    ],
)
def test_it_is_said_once_a_step(last: float, now: float, is_said: bool) -> None:
    assert bool(expiry.due([ONE], AT + last * DAY, AT + now * DAY)) is is_said


def test_the_first_time_all_that_is_near_is_said_the_nearest_first() -> None:
    late, near, nearer, over = (Ending(URL, "x", AT + days * DAY) for days in (31, 20, 3, -2))
    assert expiry.due([late, near, over, nearer], -1.0, AT) == [over, nearer, near]
    assert [one.is_near(AT) for one in (late, near, nearer, over)] == [False, True, True, True]


def test_what_is_told() -> None:
    assert ONE.told(AT - 6.5 * DAY) == "the robot mesh expires on 1972-09-27 00:00 UTC, within 7 days"
    assert ONE.told(AT - 0.5 * DAY) == "the robot mesh expires on 1972-09-27 00:00 UTC, within 1 day"
    assert ONE.told(AT) == "the robot mesh expired on 1972-09-27 00:00 UTC"


def test_what_lasts_a_month_is_not_near_its_end_from_its_first_day_on() -> None:
    month = Ending(CERTIFICATE, "tls.crt", AT, life=30 * DAY)
    assert [month.is_near(AT - days * DAY) for days in (29, 8, 7, 1, 0)] == [False, False, True, True, True]
    day = Ending(CERTIFICATE, "tls.crt", AT, life=DAY)
    assert [day.is_near(AT - hours * DAY / 24) for hours in (23, 1, 0)] == [False, False, True]


def test_robots() -> None:
    robots = [Robot("a", (), date(1972, 9, 27)), Robot("b", ())]
    assert list(expiry.of_robots(robots)) == [Ending(ROBOT, "a", AT)]
