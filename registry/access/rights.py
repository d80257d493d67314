"""What may be done: the rights that rules give and routes need."""

from __future__ import annotations

from enum import Enum


class Right(Enum):
    """What a route needs. `OPEN` is asked by routes that show nothing of any repository."""

    OPEN = "open"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMIN = "admin"


GRANTED = (Right.PULL, Right.PUSH, Right.DELETE, Right.ADMIN)
"""The rights that a rule can give."""
