"""The heap of a process that serves."""

from __future__ import annotations

import contextlib
import ctypes
import os

_LARGE = 1 << 20
_M_MMAP_THRESHOLD = -3
_BY_ENVIRONMENT = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def give_back_large_blocks() -> None:
    """From here on, a block of a megabyte or more goes back to the system when it is freed.

    glibc raises that limit to the largest block that was ever freed (mallopt(3), M_MMAP_THRESHOLD): the
    parts of uploads then leave holes among what lives longer, and twenty uploads take half as much again.
    Other C libraries have no such limit; one that the environment sets stays.
    """
    if any(name in os.environ for name in _BY_ENVIRONMENT):
        return
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
