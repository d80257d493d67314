"""From S3: hot content, pushes, and many large uploads at a time, beside distribution on the same store."""

from __future__ import annotations

import argparse
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bench import content, crowd, load, memory, peers, pushes, wire
from tests.bench.content import ACCEPT, REPOSITORY, Content
from tests.bench.peers import Peer
from tests.bench.results import Results, Row, say
from tests.real import seaweed
from tests.real.web import get

BY_TAG = Row("manifest by tag", "1/s", aim="≥ 20 × distribution")
BY_TAG_P99 = Row("manifest by tag, p99", "ms", more_is_better=False, digits=2)
CALLS = Row(
    "S3 calls while it is pulled by tag, by process", "1/s", more_is_better=False, aim="≤ 1", digits=2
)
BY_DIGEST = Row("manifest by digest", "1/s")
BLOB = Row("blob of 1 MB", "1/s", aim="≥ 7 × distribution")
PUSH = Row("push of a plugin of 2.7 MB, here checked and signed", "ms", more_is_better=False, digits=1)
UP_WHOLE = Row(f"{crowd.UPLOADS} blobs of {{size}} MB up at a time, one PUT each", "MB/s")
UP_STREAMED = Row(f"{crowd.UPLOADS} blobs of {{size}} MB up at a time, PATCH", "MB/s")
MEMORY = Row("memory above idle meanwhile, at most", "MB", more_is_better=False, aim="≤ 256 MB")

_FETCHED = re.compile(r'^sidecargo_store_reads_total\{outcome="fetched"\} (\S+)$', re.M)
_WATCHED = 10
_SETTLED = 2  # seconds until all is hot, and workers have told their counts


def measure(folder: Path, results: Results, options: argparse.Namespace) -> None:
    """Take everything, on a store of its own; raises PartMissing."""
    peers.part("weed")
    made = content.made()
    with ExitStack() as running:
        say("a store")
        store = seaweed.start()
        running.callback(store.end)
        servers = [
            running.enter_context(peers.ours(folder / "ours-1", 1, store.bucket())),
            running.enter_context(peers.ours(folder / "ours-2", 2, store.bucket())),
            running.enter_context(peers.distribution(folder / "distribution", store.bucket())),
        ]
        for peer in servers:
            made.push(peer)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}: load, from S3")
            for peer in servers:
                _hot(results, peer, made, options.seconds)
            say(f"round {turn + 1} of {options.rounds}: pushes, to S3")
            pushes.measure(results, PUSH, servers, made.module, str(turn))
        for workers, peer in zip((1, 2), servers, strict=False):
            results.add(CALLS, peer.name, _calls(peer, made, workers))
        if options.crowd:
            file = folder / "crowd"
            crowd.fill(file, options.crowd)
            for peer in servers:
                say(f"{crowd.UPLOADS} × {options.crowd} MB at a time, to S3: {peer.name}")
                _crowd(results, peer, file, options.crowd)


def _hot(results: Results, peer: Peer, made: Content, seconds: int) -> None:
    for row, path in ((BY_TAG, made.by_tag), (BY_DIGEST, made.by_digest), (BLOB, made.blob_path)):
        taken = load.hot(f"http://{peer.host}{path}", blob=row is BLOB, seconds=seconds)
        results.add(row, peer.name, taken.rate)
        if row is BY_TAG:
            results.add(BY_TAG_P99, peer.name, taken.p99)


def _calls(peer: Peer, made: Content, workers: int) -> float:
    """How often a server of ours asks the store for pulls, a second and process, in the midst of a load."""
    with ThreadPoolExecutor(1) as pool:
        url = f"http://{peer.host}{made.by_tag}"
        pulled = pool.submit(load.measure, url, accept=ACCEPT, seconds=_WATCHED + 2 * _SETTLED)
        time.sleep(_SETTLED)
        before, began = _fetched(peer), time.monotonic()
        time.sleep(_WATCHED)
        asked, lasted = _fetched(peer) - before, time.monotonic() - began
        pulled.result()
    return asked / lasted / workers


def _crowd(results: Results, peer: Peer, file: Path, size: int) -> None:
    idle, most = memory.resident(peer.process.pid), 0
    for row, send in ((UP_WHOLE, wire.upload_whole), (UP_STREAMED, wire.upload_streamed)):
        bodies = crowd.bodies(file, f"{peer.name} {row.name}")
        memory.forget_peak(peer.process.pid)
        seconds = crowd.upload(peer.host, REPOSITORY, bodies, send)
        most = max(most, memory.peak(peer.process.pid))
        named = Row(row.name.format(size=size), row.unit)
        results.add(named, peer.name, len(bodies) * size / seconds)
    results.add(MEMORY, peer.name, (most - idle) / 1e6)


def _fetched(peer: Peer) -> float:
    """How often it has asked the store for pulls."""
    found = _FETCHED.search(get(f"http://{peer.host}/metrics").body.decode())
    if not found:
        raise RuntimeError("/metrics does not tell how often the store was asked")
    return float(found.group(1))
