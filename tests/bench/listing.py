"""A page of tags out of very many: stores are filled by writing their files, as the servers would have."""

from __future__ import annotations

import http.client
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import paths, records
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.bench.peers import DISTRIBUTION, Peer

REPOSITORY = "bench/tagged"
TAGS = 100_000
PAGE = 100

_NAMED = Descriptor(OCI_MANIFEST, Digest.of(b"{}"), 2)
_TIMES = 20


def fill(peer: Peer) -> None:
    """Give a server of ours or distribution a repository with TAGS tags."""
    for number in range(TAGS):
        add(peer, f"v1.{number}.0")
    if peer.name != DISTRIBUTION:
        entry = peer.folder / "data" / paths.catalog(REPOSITORY)
        entry.parent.mkdir(exist_ok=True)
        entry.touch()


def add(peer: Peer, tag: str) -> None:
    """Give it one more."""
    if peer.name == DISTRIBUTION:
        tags = f"data/docker/registry/v2/repositories/{REPOSITORY}/_manifests/tags"
        with _folder(peer.folder / tags / tag / "current") as folder:
            _write(folder, "link", str(_NAMED.digest).encode())
    else:
        with _folder(peer.folder / "data" / paths.tags(REPOSITORY)) as folder:
            _write(folder, tag, records.write_descriptor(_NAMED))


def page(peer: Peer) -> float:
    """The median of the milliseconds that a page takes which begins anywhere, on one connection."""
    connection = http.client.HTTPConnection(peer.host, timeout=60)
    try:
        return sorted(_page(connection) for _ in range(_TIMES))[_TIMES // 2]
    finally:
        connection.close()


def page_after_a_push(peer: Peer) -> float:
    """The median of those that a page takes when a tag has come since the last one."""
    connection = http.client.HTTPConnection(peer.host, timeout=60)
    taken = []
    try:
        for _ in range(_TIMES):
            add(peer, f"v2.{random.randrange(10**9)}.0")
            taken.append(_page(connection))
    finally:
        connection.close()
    return sorted(taken)[_TIMES // 2]


def _page(connection: http.client.HTTPConnection) -> float:
    last = f"v1.{random.randrange(TAGS)}.0"
    began = time.perf_counter()
    connection.request("GET", f"/v2/{REPOSITORY}/tags/list?n={PAGE}&last={last}")
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - began
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body[:300]!r}")
    return seconds * 1000


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _write(folder: int, name: str, content: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
    os.write(file, content)
    os.close(file)
