"""Whole pushes and pulls over a store whose calls fail by chance, then all of them, then by chance again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outages.afterwards import all_is_well, unexpected
from tests.outages.conftest import SEED
from tests.outages.crowd import OUTAGES, at_work
from tests.outages.faults import Fault, evenly
from tests.outages.hot import degraded, pushed
from tests.outages.proxy import Proxy
from tests.real.seaweed import Bucket
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry

pytestmark = [pytest.mark.real, pytest.mark.slow]

PUSHES = 40
"""How much is acknowledged while calls fail by chance, before and after all of them do."""
RATE = 0.08
PUSHERS = 6
MANY = 100
"""Requests that are refused while the store fails; each that asked it would be four calls."""


@pytest.mark.parametrize(
    ("servers", "flags"), [(2, ()), (1, ("--workers", "2"))], ids=["2 servers", "2 workers"]
)
def test_what_was_acknowledged_is_there(
    proxy: Proxy,
    over: Callable[..., Sidecargo],
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: int,
    flags: tuple[str, ...],
) -> None:
    """Every request is answered, by what was asked for or by 503 with Retry-After."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    running = [over(bucket, *flags) for _ in range(servers)]
    hosts = [server.host for server in running]
    hot = pushed(Registry(hosts[0], "t/hot"))
    chance = proxy.chance
    try:
        with at_work(hosts, hot, pushers=PUSHERS, pullers=1, seed=SEED) as crowd:
            for _ in range(OUTAGES):
                chance.then(*Fault)  # of the calls one waits for its time-out
                chance.rates = evenly(RATE)
                crowd.until(crowd.pushed(PUSHES))
                for every in (Fault.RESET, Fault.SLOW_DOWN):
                    chance.rates = {every: 1.0}
                    crowd.until(lambda: all(map(degraded, hosts)))
                    calls = chance.calls
                    crowd.until(crowd.turned_away(MANY))
                    assert chance.calls - calls < MANY, "nobody asks a store that fails"
                chance.rates = evenly(RATE)
                crowd.until(lambda: not any(map(degraded, hosts)))
                crowd.until(crowd.pushed(PUSHES))
    finally:
        chance.rates = {}
    assert {*chance.met} == {*Fault}, "each kind was met"
    assert [one.broken for one in crowd.pushers] == [0] * PUSHERS, "none was left without an answer"
    assert [found for server in running for found in unexpected(server)] == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    all_is_well(crowd, bucket, over, tmp_path)
