"""An S3 store that is stopped under load and started again, that hangs, and that is away for long."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.manifest import OCI_MANIFEST
from tests.crash.story import plugin
from tests.outages.afterwards import all_is_well, unexpected
from tests.outages.conftest import SEED
from tests.outages.crowd import OUTAGES, Crowd, at_work
from tests.outages.hot import degraded, pushed, ready
from tests.outages.proxy import Proxy
from tests.real.seaweed import Bucket, Seaweed
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Connection, Registry, eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

PULLS = 500
"""What is pulled from each server meanwhile."""
PUSHERS = 4


def test_stopped_and_started_under_load(
    own_seaweed: tuple[Seaweed, Bucket], over: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    """It is killed: the pulls go on as if nothing were, and after it all that was acknowledged is there."""
    store, bucket = own_seaweed
    crowd, servers = around(store.kill, store.restart, over, bucket)
    assert [found for server in servers for found in unexpected(server)] == []
    all_is_well(crowd, bucket, over, tmp_path)


def test_it_hangs_under_load(
    own_seaweed: tuple[Seaweed, Bucket], over: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    """It takes connections and answers nothing: nobody waits for the time-outs, of 80 s."""
    store, bucket = own_seaweed
    group = store.process.pid
    crowd, servers = around(
        lambda: os.killpg(group, signal.SIGSTOP), lambda: os.killpg(group, signal.SIGCONT), over, bucket
    )
    assert [found for server in servers for found in unexpected(server)] == []
    all_is_well(crowd, bucket, over, tmp_path)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_ends_in_time_while_it_hangs(
    own_seaweed: tuple[Seaweed, Bucket], over: Callable[..., Sidecargo], workers: str
) -> None:
    """Who stops it waits for half a minute, as Kubernetes does, not for the time-outs."""
    store, bucket = own_seaweed
    server = over(bucket, "--workers", workers)
    registry = Registry(server.host, "t/hot")
    pushed(registry)
    os.killpg(store.process.pid, signal.SIGSTOP)
    try:
        with Connection(server.host) as asking, Connection(server.host) as pushing:
            asking.send("GET", f"{registry.base}/manifests/never-pulled", {}, b"")
            fields = {"Content-Type": OCI_MANIFEST}
            pushing.send("PUT", f"{registry.base}/manifests/new", fields, plugin("new").body)
            assert server.process.stop(seconds=60) == 0
            assert "calls to the store have not ended" in server.process.said()
    finally:
        os.killpg(store.process.pid, signal.SIGCONT)


def around(
    stop: Callable[[], None], start: Callable[[], None], over: Callable[..., Sidecargo], bucket: Bucket
) -> tuple[Crowd, list[Sidecargo]]:
    """Two servers under load, over a store that is away for a while."""
    servers = [over(bucket) for _ in range(2)]
    hosts = [server.host for server in servers]
    hot = pushed(Registry(hosts[0], "t/hot"))
    for host in hosts:  # each has seen what it is to go on with
        assert {path: Registry(host, "").get(path).body for path in hot} == hot
    with at_work(hosts, hot, pushers=PUSHERS, pullers=2, seed=SEED) as crowd:
        for _ in range(OUTAGES):
            crowd.until(crowd.all_push())
            stop()
            crowd.until(lambda: all(map(degraded, hosts)))
            crowd.until(crowd.all_pull(2))
            pulled = crowd.all_pull(PULLS)
            while not pulled():
                for host in hosts:
                    is_told(host)
            start()
            crowd.until(lambda: all(map(ready, hosts)))
            crowd.until(crowd.all_push())
    assert [dict(one.refused) for one in crowd.pullers] == [{}] * len(crowd.pullers), "what is hot is served"
    return crowd, servers


def is_told(host: str) -> None:
    """What a server says while its store is away: to its load balancer, to Prometheus, to who pushes."""
    registry = Registry(host, "t/hot")
    ready = registry.get("/readyz")
    assert (ready.status, ready.json["status"]) == (200, "degraded")
    assert degraded(host)
    assert registry.counts("sidecargo_store_failures_total")[""] > 0
    assert registry.counts("sidecargo_store_reads_total")['outcome="stale"'] > 0
    with Connection(host, 30) as connection:
        for method, path, body in (
            ("POST", "blobs/uploads/", b""),
            ("PUT", "manifests/new", plugin("new").body),
            ("DELETE", "manifests/v1", b""),
        ):
            fields = {"Content-Type": OCI_MANIFEST}
            answer = connection.ask(method, f"{registry.base}/{path}", fields, body)
            assert (answer.status, answer.code) == (503, "UNAVAILABLE"), answer
            assert int(answer["retry-after"]) > 0
    for path in ("manifests/never-pulled", "tags/list"):
        assert registry.get(f"{registry.base}/{path}").status != 404


def test_what_was_seen_last_is_served_for_its_time(
    proxy: Proxy,
    over: Callable[..., Sidecargo],
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """After `stale_if_error` it is ready no more; what it knows is served again when the store answers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    settings = tmp_path / "brief.yaml"
    settings.write_text("storage: {cache: {stale_if_error: 2s}}\n")
    server = over(bucket, settings=settings)
    registry = Registry(server.host, "t/hot")
    hot = pushed(registry)
    proxy.down()
    eventually(lambda: registry.get("/readyz").status == 503, 120)
    for path in hot:
        answer = registry.get(path)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE"), answer
        assert int(answer["retry-after"]) > 0
    assert registry.get("/healthz").status == 200
    assert registry.counts("sidecargo_store_reads_total")['outcome="refused"'] > 0
    proxy.up()
    eventually(lambda: registry.get("/readyz").status == 200, 120)
    assert {path: registry.get(path).body for path in hot} == hot
    assert unexpected(server) == []
