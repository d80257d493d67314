"""A process that collects garbage without a pause, with ages of seconds: run as a module, ended by a kill."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from pathlib import Path

from storage.gc.collector import Collector
from storage.gc.job import Gone, Waits
from storage.gc.retention import Keep
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from tests.real.process import Process, environment
from tests.real.seaweed import Bucket
from tests.real.tools import ROOT

FADING = "fading/"
"""Repositories below have a rule of retention."""
LAST = 3
"""How many tags stay by it, however old."""
WAITS = Waits(grace=12.0, unlinked=20.0, trash=30.0)
"""Longer than any push of the test takes, so much shorter than in life that all is seen to go and to come."""
LONGEST = 40.0
"""How many seconds it works on after a whole run until it is killed, at most."""
FADES = WAITS.grace - 2.0
"""How many seconds after a push retention may end it; a store tells the time of a write in whole seconds."""


def go_on(folder: Path, bucket: Bucket, chance: random.Random, over: threading.Event) -> None:
    """Collect until it is `over`, by a process that is killed and begun again after a whole run or more."""
    whole = 0
    while not over.is_set():
        process = _started(folder, bucket)
        try:
            while totals(folder)["runs"] <= whole and not over.wait(0.5):
                assert process.running, process.said()
            over.wait(chance.uniform(0.0, LONGEST))
        finally:
            process.kill()
        whole = totals(folder)["runs"]


def _started(folder: Path, bucket: Bucket) -> Process:
    """One that runs; its log says what goes, and when a run ends."""
    command = [sys.executable, "-m", "tests.replicas.collecting", bucket.name, bucket.prefix]
    env = environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
    return Process(command, log=folder / "collecting.log", env=env, folder=folder)


def totals(folder: Path) -> Counter[str]:
    """How many of each kind went, and how many runs came to their end, with what they put back."""
    found: Counter[str] = Counter()
    for line in (folder / "collecting.log").read_text().splitlines():
        name, _, number = line.partition(" ")
        if number.isdecimal():
            found[name] += int(number)
    return found


def all_kinds(folder: Path) -> bool:
    """Whether something of every kind went, each in its turn: a fast machine has pushed much before that."""
    found = totals(folder)
    return all(found[kind] for kind in ("runs", "tag", "manifest", "link", "content"))


def _keep_of(repository: str) -> Keep | None:
    return Keep(last=LAST) if repository.startswith(FADING) else None


async def _collect(name: str, prefix: str) -> None:
    driver = S3Driver(S3Options(name, prefix))
    while True:
        collector = Collector(
            driver, _keep_of, history=1.0, waits=WAITS, folder=Path.cwd(), pause=0, told=_tell
        )
        done = await collector.run()
        print("runs 1")
        print("restored", done.restored)
        print("damaged", len(done.damaged))
        await asyncio.sleep(0.5)


def _tell(gone: Gone) -> None:
    print(gone.kind, 1)


if __name__ == "__main__":
    asyncio.run(_collect(*sys.argv[1:]))
