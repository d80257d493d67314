"""What must be so when a store is well again: all that was told is true, and nothing is left behind."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.crash import history
from tests.outages.crowd import Crowd
from tests.real.process import environment, run
from tests.real.seaweed import Bucket
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.registry.talk import Registry, eventually

_EXPECTED = ("sidecargo.store: the store fails", "sidecargo.http: failed: ")
_HEAD = re.compile(r"(?:ERROR|CRITICAL) (?P<said>.*)")


def all_is_well(crowd: Crowd, bucket: Bucket, over: Callable[..., Sidecargo], folder: Path) -> None:
    """By a look through a server that has seen nothing of it, by fsck, and by what is in the bucket.

    That server sweeps uploads after a second: all that the crowd left. To fsck harmless is an entry in the
    catalog for which no push came to its end, and content that nothing names yet.
    """
    settings = folder / "sweeping.yaml"
    settings.write_text("timeouts: {uploads: 1s}\n")
    fresh = over(bucket, settings=settings)
    key = fresh.public_key(folder / "cosign.pub").read_bytes()
    for base, known in crowd.known.items():
        history.check(Registry(fresh.host, base.removeprefix("/v2/")), known, key)
    eventually(lambda: bucket.multiparts() == [] and under_way(bucket) == [], 60)
    fresh.stop()
    command = (sys.executable, "-m", "registry", "fsck", "--storage", bucket.url, "--settle", "1", "--json")
    done = run(*command, env=environment(PYTHONPATH=str(ROOT)), seconds=600)
    assert done.code == 0, done.said


def under_way(bucket: Bucket) -> list[str]:
    """The keys of uploads and of what was begun in passing; an upload without bytes has ended."""
    found = bucket.keys().items()
    return [key for key, size in found if key.startswith("temp/") or (key.startswith("uploads/") and size)]


def unexpected(server: Sidecargo) -> list[str]:
    """What a server's log has of faults that are not the store's."""
    lines = server.process.log.read_text(errors="replace").splitlines()
    errors = [found["said"] for line in lines if (found := _HEAD.match(line))]
    strange = [said for said in errors if not said.startswith(_EXPECTED)]
    return strange + [line for line in lines if line.startswith(("Exception in", "Exception ignored"))]
