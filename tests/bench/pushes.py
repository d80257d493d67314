"""Pushes of plugins that nobody has yet, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.bench import wire
from tests.bench.content import REPOSITORY, renamed
from tests.bench.peers import Peer
from tests.bench.results import Results, Row
from tests.real import images

EACH = 5


def measure(results: Results, row: Row, servers: Sequence[Peer], module: bytes, turn: str) -> None:
    """The milliseconds of each push: layer, config and manifest, packed before and sent without a pause."""
    for number in range(EACH):
        packed = images.layer("plugin.wasm", renamed(module, f"push-{turn}-{number}"))
        config = images.config([packed])
        manifest = images.manifest(config, [packed])
        for peer in servers:
            with wire.connected(peer.host) as connection:
                began = time.perf_counter()
                wire.push_blob(connection, REPOSITORY, packed)
                wire.push_blob(connection, REPOSITORY, config)
                wire.push_manifest(connection, REPOSITORY, f"push-{turn}-{number}", manifest)
                results.add(row, peer.name, (time.perf_counter() - began) * 1000)
