"""How much is tried: a slice in every run of the tests, all of it by `make fuzz`."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hypothesis import HealthCheck, settings

AMOUNT = int(os.environ.get("SIDECARGO_FUZZ", "0"))
"""How many inputs of a kind `make fuzz` asks for; 0 in an ordinary run."""
EXAMPLES = AMOUNT or 300
SECONDS = 2.0 if AMOUNT else 60.0
"""Processor time that an answer may take; an ordinary run only wants to see the end."""

# An ordinary run tries the same inputs every time; `make fuzz` new ones.
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not AMOUNT,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class TooSlow(Exception):
    """An answer that takes more than SECONDS of processor time."""


@contextmanager
def watched() -> Iterator[None]:
    """Raises TooSlow when what is done within takes too long; for the main thread.

    Garbage is not collected meanwhile: that of 100,000 inputs is the fuzz's own, and takes seconds.
    """

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"no answer after {SECONDS:g} s")

    before = signal.signal(signal.SIGPROF, late)
    gc.disable()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.enable()
        signal.signal(signal.SIGPROF, before)
