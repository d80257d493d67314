"""Fixtures of outages: servers of S3 that a test breaks, and servers of ours over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.keyring import write_new
from tests.outages.proxy import Proxy
from tests.real import seaweed as servers
from tests.real.seaweed import Bucket, Seaweed
from tests.real.sidecargo import Sidecargo

SEED = 20


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The signing key of all servers of a test."""
    write_new(tmp_path / "signing.key")
    return tmp_path / "signing.key"


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[Proxy]:
    """What stands before the session's S3 store."""
    with Proxy(seaweed.port, SEED) as between:
        yield between


@pytest.fixture
def own_seaweed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Seaweed, Bucket]]:
    """An S3 store that the test may end, and a bucket in it, where boto3 finds it."""
    store = servers.start()
    try:
        bucket = store.bucket()
        for name, value in bucket.variables.items():
            monkeypatch.setenv(name, value)
        yield store, bucket
    finally:
        store.end()


@pytest.fixture
def over(serve: Callable[..., Sidecargo], key: Path) -> Callable[..., Sidecargo]:
    """Start a server over a bucket: `over(bucket, "--workers", "2", settings=FILE)`."""

    def start(bucket: Bucket, *flags: str, settings: Path | None = None) -> Sidecargo:
        return serve("--storage", bucket.url, "--signing-key", str(key), *flags, settings=settings)

    return start
