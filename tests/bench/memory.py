"""How much memory a server takes: read from /proc, for all of its processes together."""

from __future__ import annotations

import re
from pathlib import Path

MIB = 1 << 20


def processes(first: int) -> list[int]:
    """A process and all of its descendants."""
    found = [first]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def resident(first: int) -> int:
    """The bytes that they hold now (VmRSS)."""
    return sum(_status(pid, "VmRSS") for pid in processes(first))


def forget_peak(first: int) -> None:
    """Begin to measure the peak anew (proc(5), clear_refs)."""
    for pid in processes(first):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(first: int) -> int:
    """The most bytes that each of them held since, added up (VmHWM): never less than the true peak."""
    return sum(_status(pid, "VmHWM") for pid in processes(first))


def _status(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found.group(1)) * 1024 if found else 0
