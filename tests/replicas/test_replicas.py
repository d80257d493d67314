"""Four replicas over one bucket, 32 writers, garbage collection, replicas that die: nothing is lost."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from registry.keyring import write_new
from storage import tags
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.store import Store
from tests.real.process import environment, run
from tests.real.seaweed import Bucket
from tests.real.tools import ROOT
from tests.real.web import get
from tests.replicas import collecting
from tests.replicas.checker import LATE, faults
from tests.replicas.fleet import Client, Fleet
from tests.replicas.history import History, Past
from tests.replicas.looking import Look
from tests.replicas.writer import CI, REPOSITORIES, TAGS, Writer

pytestmark = [pytest.mark.real, pytest.mark.slow]

MINUTES = float(os.environ.get("SIDECARGO_MINUTES", "0"))
"""For how long `make soak` has them write; 0 in an ordinary run, which ends with PUSHES."""
PUSHES = int(os.environ.get("SIDECARGO_PUSHES", "2000"))
LONGEST = 1800.0
"""Seconds in which an ordinary run must have done them and seen all kinds go, however busy the machine is."""
REPLICAS, WRITERS = 4, 32
KILLED_EVERY = 9.0
"""Seconds from kill to kill, more or less."""
SETTINGS = 'server: {public_url: "http://plugins.example.com"}\n'


@pytest.mark.timeout(0)  # it has a limit of its own, at which it ends what it began
def test_nothing_is_lost(bucket: Bucket, tmp_path: Path) -> None:
    write_new(tmp_path / "signing.key")
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    flags = ("--storage", bucket.url, "--signing-key", str(tmp_path / "signing.key"))
    history = History(fading=frozenset((CI,)), fades=collecting.FADES)
    with Fleet.of(REPLICAS, tmp_path, tmp_path / "settings.yaml", *flags) as fleet:
        key = get(f"http://{fleet.replicas[0].host}/keys/cosign.pub").body
        writers = [
            Writer(number, Client(fleet, history, random.Random(number)), key) for number in range(WRITERS)
        ]
        began = time.time()
        _write(
            writers,
            lambda: sum(one.pushed for one in writers) >= PUSHES and collecting.all_kinds(tmp_path),
            partial(fleet.disturb, history, random.Random(1), KILLED_EVERY),
            partial(collecting.go_on, tmp_path, bucket, random.Random(2)),
        )
        took = time.time() - began
        time.sleep(LATE)
        _look_at_all(fleet, history, key)
    history.pasts += asyncio.run(_pasts(bucket))
    collected = collecting.totals(tmp_path)
    print(f"\n{_told(history, writers, took)}; collected: {dict(collected)}")
    if found := faults(history):
        (tmp_path / "history.json").write_text(json.dumps(asdict(history), default=sorted))
        pytest.fail(f"{len(found)} faults:\n" + "\n".join(found[:30]), pytrace=False)
    assert "Traceback" not in fleet.said()
    assert MINUTES or sum(one.pushed for one in writers) >= PUSHES, "this is too slow to say anything"
    assert collecting.all_kinds(tmp_path), collected
    assert not collected["damaged"], collected
    checked = run(
        *(sys.executable, "-m", "registry", "fsck", "--json", "--storage", bucket.url),
        env=environment(PYTHONPATH=str(ROOT)),
        seconds=1200,
    )
    assert [one for one in json.loads(checked.out)["findings"] if one["harms"]] == [], checked.said


def _write(
    writers: list[Writer], enough: Callable[[], bool], *beside: Callable[[threading.Event], None]
) -> None:
    """Let all write, with what happens beside, until there is enough; what one of them raises is raised."""
    over, end = threading.Event(), time.time() + (MINUTES * 60 or LONGEST)
    with ThreadPoolExecutor(len(writers) + len(beside)) as pool:
        tasks = [pool.submit(one.write, over) for one in writers]
        tasks += [pool.submit(one, over) for one in beside]
        try:
            while time.time() < end and all(task.running() for task in tasks):
                if not MINUTES and enough():
                    break
                time.sleep(0.5)
        finally:
            over.set()
    for task in tasks:
        task.result()


def _look_at_all(fleet: Fleet, history: History, key: bytes) -> None:
    """Have every tag and manifest that was ever put seen by all replicas, and whole and signed by one.

    What was deleted last is seen by one.
    """
    last = {
        (one.repository, name): one.verb for one in history.changes for name in (one.tag, one.digest) if name
    }
    names = list(enumerate(sorted(last)))

    def look(number: int) -> dict[tuple[str, str], str | None]:
        client, found = Client(fleet, history, random.Random(number)), {}
        for at, (repository, name) in names:
            one, whole = Look(client, repository, key, number), at % REPLICAS == number
            if whole or last[repository, name] != "delete":
                found[repository, name] = one.named(name)
            if whole and found[repository, name]:
                one.image(name, signed=True)
        client.close()
        return found

    with ThreadPoolExecutor(REPLICAS) as pool:
        views = list(pool.map(look, range(REPLICAS)))
    for _, name in names:
        if len(told := {view[name] for view in views if name in view}) > 1:
            history.faults.append(f"of {name} replicas say {told}")


async def _pasts(bucket: Bucket) -> list[Past]:
    """What tags say that they named, where nothing fades."""
    driver = S3Driver(S3Options(bucket.name, bucket.prefix))
    store, found = Store(driver, upload_limit=1), []
    for name in set(REPOSITORIES) - {CI}:
        repository = store.repository(name)
        for tag in {*(await repository.tags.page()).names} & {*TAGS[name]}:
            past = await repository.tags.history(tag)
            named, until = [], math.inf
            for former in past.former:
                named.append((former.until, until))
                until = former.until
            digests = [past.named.digest, *(former.descriptor.digest for former in past.former)]
            spans = [
                (str(digest), *span)
                for digest, span in zip(digests, [*named, (-math.inf, until)], strict=True)
            ]
            # Of the oldest that it remembers it does not know since when it named that.
            full = len(past.former) >= tags.MOST
            found.append(Past(name, tag, tuple(spans[:-1] if full else spans), full))
    driver.close()
    return found


def _told(history: History, writers: list[Writer], took: float) -> str:
    return (
        f"{sum(one.pushed for one in writers)} pushes acknowledged in {took:.0f} s, "
        f"{len(history.kills)} kills, {sum(not one.known for one in history.changes)} changes in doubt, "
        f"{sum(one.client.mounted for one in writers)} mounts, {len(history.seen)} answers looked at, "
        f"{len(history.unavailable)} times 503"
    )
