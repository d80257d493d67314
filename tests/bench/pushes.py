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


UNSIGNED = "bench/unsigned"
SETTINGS = f"admission: {{rules: [{{repositories: {UNSIGNED}, mode: 'off'}}]}}\n"
"""Of the server for `signed`: there, what does not load is taken as it is."""


def measure(results: Results, row: Row, servers: Sequence[Peer], module: bytes, turn: str) -> None:
    """The milliseconds of each push: layer, config and manifest, packed before and sent without a pause."""
    for number in range(EACH):
        name = f"push-{turn}-{number}"
        for peer in servers:
            results.add(row, peer.name, _push(peer, REPOSITORY, name, renamed(module, name)))


def signed(results: Results, row: Row, peer: Peer, module: bytes, turn: str) -> None:
    """How long a push takes that is signed, by one of the same size that is looked into all the same.

    That is of a module whose ABI no Envoy knows.
    """
    unknown = module.replace(b"proxy_abi_version_0_", b"proxy_abi_version_9_")
    assert unknown != module
    for number in range(EACH):
        name = f"signed-{turn}-{number}"
        plain = _push(peer, UNSIGNED, name, renamed(unknown, name))
        results.add(row, peer.name, _push(peer, REPOSITORY, name, renamed(module, name)) / plain)


def _push(peer: Peer, repository: str, tag: str, module: bytes) -> float:
    """The milliseconds of one push."""
    packed = images.layer("plugin.wasm", module)
    config = images.config([packed])
    manifest = images.manifest(config, [packed])
    with wire.connected(peer.host) as connection:
        began = time.perf_counter()
        wire.push_blob(connection, repository, packed)
        wire.push_blob(connection, repository, config)
        wire.push_manifest(connection, repository, tag, manifest)
        return (time.perf_counter() - began) * 1000
