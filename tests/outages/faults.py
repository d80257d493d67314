"""What can go wrong between a registry and its S3 store, drawn by chance for each call."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from enum import Enum


class Fault(Enum):
    """How a call goes wrong."""

    RESET = "reset before S3 has seen it"
    CUT_REQUEST = "reset in the middle of its body"
    LOST = "done, and reset instead of its answer"
    CUT_ANSWER = "done, and reset in the middle of its answer"
    LATE = "done, and answered late"
    HUNG = "done, and never answered"
    ERROR = "not done: 500 InternalError"
    SLOW_DOWN = "not done: 503 SlowDown"
    ERROR_AFTER = "done, and answered by 500 InternalError"
    ERROR_WITHIN = "not done: 200 with an error in its body, which S3 gives to copies and completions"

    __hash__ = object.__hash__


Rates = Mapping[Fault, float]
"""How likely each fault is."""


def evenly(rate: float, *but: Fault) -> Rates:
    """Faults of all kinds, but for those that never end or are among `but`, at this rate all told."""
    kinds = [fault for fault in Fault if fault not in (Fault.HUNG, *but)]
    return dict.fromkeys(kinds, rate / len(kinds))


class Chance:
    """Draws the fault of each call. `rates` may be set at any time; `met` counts what was drawn."""

    def __init__(self, seed: int) -> None:
        self.rates: Rates = {}
        self.met: Counter[Fault] = Counter()
        self.calls = 0
        self._random = random.Random(seed)
        self._next: list[Fault] = []

    def then(self, *faults: Fault) -> None:
        """Let these happen to the next calls that can meet them, whatever the rates."""
        self._next += faults

    def draw(self, *, copies: bool) -> Fault | None:
        """How the next call goes wrong, if it does; `copies` says that it may fail after a 200."""
        self.calls += 1
        fitting = [fault for fault in self._next if copies or fault is not Fault.ERROR_WITHIN]
        if fitting:
            fault = fitting[0]
            self._next.remove(fault)
        else:
            rates = self.rates
            healthy = max(0.0, 1 - sum(rates.values()))
            (drawn,) = self._random.choices([*rates, None], [*rates.values(), healthy])
            if drawn is None:
                return None
            fault = drawn
        if fault is Fault.ERROR_WITHIN and not copies:
            fault = Fault.ERROR
        self.met[fault] += 1
        return fault
