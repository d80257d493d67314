"""`make bench`: Sidecargo beside distribution and nginx, in one run on this machine.

    python -m tests.bench.run [--only disk|access|s3] [--rounds 3] [--seconds 3] [--size 1024] [--crowd 200]

Peers take turns within each round, because a machine is never equally quiet; a cell is the median
of its rounds. Nothing is asserted: the aims stand beside the ratios, to be read.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench import access, crowd, disk, peers, s3
from tests.bench.results import Results

SECTIONS = {
    "disk": ("On disk", disk.measure),
    "access": ("On disk, with rules; distribution asks nobody who they are", access.measure),
    "s3": ("From S3 (SeaweedFS on this machine)", s3.measure),
}


def main() -> int:
    """Measure everything that is asked for and print the tables."""
    options = _options()
    tables = {}
    for name in options.only or SECTIONS:
        title, measure = SECTIONS[name]
        tables[title] = Results()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                measure(Path(folder), tables[title], options)
            except peers.PartMissing as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, shared with the client; ", end="")
    print(f"medians of {options.rounds} rounds; wrk with 1 thread and 64 connections.")
    print("× N: so many times as good as N, with 1 and with 2 workers.")
    for title, results in tables.items():
        print(f"\n### {title}\n\n{results.markdown()}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description="Measure beside peers.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="a part of it; several times: some")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--seconds", type=int, default=3, help="how long wrk runs each time")
    parser.add_argument("--size", type=int, default=1024, help="the large blob's size in MiB, on disk")
    parser.add_argument(
        "--crowd",
        type=int,
        default=200,
        help=f"the size of each of {crowd.UPLOADS} blobs sent to S3 at a time, in MB; 0: none",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
