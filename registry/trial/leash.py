"""A program on a leash: this is run as a script, sets limits, and becomes the program.

    leash.py PARENT DATA CPU COMMAND…

`DATA` are bytes of memory, `CPU` seconds. Memory is limited as data, not as address space, of which V8
reserves tens of GiB that it never uses. When the process PARENT ends, however it ends, the program is
killed (Linux; elsewhere the limit of CPU time ends what runs on).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

OPEN_FILES = 4096
LARGEST_FILE = 1 << 20

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command; exits 127 when it cannot be run."""
    parent, data, cpu, *command = arguments
    for limit, most in (
        (resource.RLIMIT_DATA, int(data)),
        (resource.RLIMIT_CPU, int(cpu)),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(limit, most)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it ended before the line above
            sys.exit(1)
    try:
        # Python's start may have added LC_CTYPE (PEP 538).
        os.execve(command[0], command, {"PATH": os.environ["PATH"]})  # noqa: S606
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


def _limit(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
