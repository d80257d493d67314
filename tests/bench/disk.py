"""On disk: everything, beside distribution and nginx."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from registry.publish.bare import inspect_module
from tests.bench import content, listing, load, memory, peers, pushes, wire
from tests.bench.content import REPOSITORY, renamed
from tests.bench.peers import Peer
from tests.bench.results import Results, Row, say
from tests.real import dockerd
from tests.real.dockerd import Docker
from tests.real.tools import where

BY_TAG = Row("manifest by tag", "1/s", aim="≥ 8 × distribution")
BY_TAG_P99 = Row("manifest by tag, p99", "ms", more_is_better=False, digits=2)
BY_DIGEST = Row("manifest by digest", "1/s")
BLOB = Row("blob of 1 MB", "1/s", aim="≥ 5 × distribution")
PUSH = Row(
    "docker push of a plugin of 2.7 MB, here checked and signed",
    "ms",
    more_is_better=False,
    aim="≥ 1 × distribution",
    digits=1,
)
PUSH_AT_ONCE = Row("the same, packed before and sent without a pause", "ms", more_is_better=False, digits=1)
SIGNED = Row(
    "a push that is signed, by one of the same size that is not",
    "×",
    more_is_better=False,
    aim="≤ 1.3",
    digits=2,
)
CHECK = Row("check of a module, by MB of it", "ms", more_is_better=False, aim="≤ 50 ms", digits=1)
UP_WHOLE = Row("blob of {size} up, one PUT", "MB/s", aim="≥ 0.7 × distribution")
UP_STREAMED = Row("blob of {size} up, PATCH", "MB/s", aim="≥ 0.7 × distribution")
DOWN = Row("blob of {size} down", "MB/s", aim="≥ 0.7 × distribution")
PAGE = Row(
    f"page of {listing.PAGE} tags out of {listing.TAGS:,}",
    "ms",
    more_is_better=False,
    aim="≤ 1/5 of distribution's",
    digits=2,
)
PAGE_AFTER = Row("the same, when a tag has come since the last page", "ms", more_is_better=False, digits=2)
MEMORY = Row("memory above idle, at most", "MB", more_is_better=False, aim="≤ 120 MB")
START = Row("start to first answer", "s", more_is_better=False, aim="≤ 1 s", digits=2)


def measure(folder: Path, results: Results, options: argparse.Namespace) -> None:
    """Take everything; raises PartMissing."""
    made = content.made()
    paths = {BY_TAG: made.by_tag, BY_DIGEST: made.by_digest, BLOB: made.blob_path}
    with ExitStack() as running:
        registries = [
            running.enter_context(peers.ours(folder / "ours-1", 1)),
            running.enter_context(peers.ours(folder / "ours-2", 2)),
            running.enter_context(peers.distribution(folder / "distribution")),
        ]
        files = {made.by_tag: made.manifest, made.by_digest: made.manifest, made.blob_path: made.blob}
        static = running.enter_context(peers.nginx(folder / "nginx", files))
        for peer in registries:
            made.push(peer)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}: load")
            _load(results, [*registries, static], paths, options.seconds)
        docker = _docker(running)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}: pushes")
            pushes.measure(results, PUSH_AT_ONCE, registries, made.module, str(turn))
            if docker:
                _docker_pushes(results, registries, docker, made.module, folder / f"push-{turn}")
        asking = running.enter_context(peers.ours(folder / "signed", 1, settings=pushes.SETTINGS))
        for turn in range(options.rounds):
            pushes.signed(results, SIGNED, replace(asking, name=registries[0].name), made.module, str(turn))
        for _ in range(options.rounds):
            began = time.perf_counter()
            assert inspect_module(made.module).ok
            results.add(CHECK, registries[0].name, (time.perf_counter() - began) * 1e9 / len(made.module))
        say(f"{listing.TAGS:,} tags")
        for peer in registries:
            listing.fill(peer)
        time.sleep(3)  # a folder that changed just now is read each time
        for row, measure in ((PAGE, listing.page), (PAGE_AFTER, listing.page_after_a_push)):
            for _ in range(options.rounds):
                for peer in registries:
                    results.add(row, peer.name, measure(peer))
        large = folder / "large"
        _random_file(large, options.size)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}: {options.size} MiB up and down")
            for peer in registries:
                _large(results, peer, large)
        large.unlink()
    for turn in range(options.rounds):
        say(f"round {turn + 1} of {options.rounds}: starts")
        _starts(results, folder, turn)


def _load(results: Results, servers: list[Peer], paths: dict[Row, str], seconds: int) -> None:
    for row, path in paths.items():
        for peer in servers:
            taken = load.hot(f"http://{peer.host}{path}", blob=row is BLOB, seconds=seconds)
            results.add(row, peer.name, taken.rate)
            if row is BY_TAG:
                results.add(BY_TAG_P99, peer.name, taken.p99)


def _docker(running: ExitStack) -> Docker | None:
    """A docker daemon of our own, where one can be had."""
    if os.geteuid() != 0 or not isinstance(where("dockerd"), Path):
        say("no docker daemon of our own (it needs root): docker push is not measured")
        return None
    docker = dockerd.start(Path(tempfile.mkdtemp(prefix="bench-")) / "docker")
    running.callback(docker.stop)
    return docker


def _docker_pushes(
    results: Results, servers: list[Peer], docker: Docker, module: bytes, folder: Path
) -> None:
    for number in range(5):
        context = folder / str(number)
        context.mkdir(parents=True)
        (context / "main.wasm").write_bytes(renamed(module, context.as_posix()))
        (context / "Dockerfile").write_text("FROM scratch\nCOPY main.wasm ./plugin.wasm\n")
        first = number % len(servers)  # docker knows a layer better once it was pushed somewhere
        for peer in (*servers[first:], *servers[:first]):
            image = f"{peer.host}/bench/docker:{folder.name}-{number}"
            docker.succeed("build", "-q", "-t", image, context)
            began = time.perf_counter()
            docker.succeed("push", image)
            results.add(PUSH, peer.name, (time.perf_counter() - began) * 1000)


def _large(results: Results, peer: Peer, file: Path) -> None:
    size = file.stat().st_size
    idle = memory.resident(peer.process.pid)
    memory.forget_peak(peer.process.pid)
    for row, upload in ((UP_WHOLE, wire.upload_whole), (UP_STREAMED, wire.upload_streamed)):
        digest = _changed(file)
        os.sync()  # what others wrote before is not written at this one's expense
        results.add(_sized(row, size), peer.name, size / 1e6 / upload(peer.host, REPOSITORY, file, digest))
    os.sync()
    seconds = wire.download(peer.host, REPOSITORY, digest, size)
    results.add(_sized(DOWN, size), peer.name, size / 1e6 / seconds)
    results.add(MEMORY, peer.name, (memory.peak(peer.process.pid) - idle) / 1e6)


def _starts(results: Results, folder: Path, turn: int) -> None:
    for name, start in (
        ("one", lambda at: peers.ours(at, 1)),
        ("two", lambda at: peers.ours(at, 2)),
        ("distribution", peers.distribution),
    ):
        at = folder / f"start-{name}-{turn}"
        began = time.perf_counter()
        with start(at) as peer:
            results.add(START, peer.name, time.perf_counter() - began)
        shutil.rmtree(at)


def _random_file(file: Path, mebibytes: int) -> None:
    with file.open("wb") as out:
        for _ in range(mebibytes):
            out.write(os.urandom(1 << 20))


def _changed(file: Path) -> str:
    """Make the file one that nobody has yet; returns its digest."""
    with file.open("r+b") as changed:
        changed.write(os.urandom(16))
    return wire.digest_of_file(file)


def _sized(row: Row, size: int) -> Row:
    shown = f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
    return Row(row.name.format(size=shown), row.unit, row.more_is_better, row.aim, row.digits)
