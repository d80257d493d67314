import gc
import os
import tracemalloc

import pytest

from registry.hot.cache import HotCache
from storage.driver import Witness

WITNESS = Witness("tag", b"sha256:0")


def offer(
    cache: HotCache, target: bytes, body: bytes, audience: str = "all", *more: tuple[bytes, bytes]
) -> bool:
    headers = [(b"Content-Length", b"%d" % len(body)), (b"ETag", b'W/"a"'), *more]
    return cache.offer(target, audience, headers, body, WITNESS)


def test_an_entry_is_found_by_target_and_audience() -> None:
    cache = HotCache(1 << 20)
    assert offer(cache, b"/a", b"body")
    entry = cache.find((b"/a", "all"))
    assert entry is not None
    assert (entry.body, entry.etag, entry.witness_key, entry.witness_content) == (
        b"body",
        b'"a"',
        "tag",
        b"sha256:0",
    )
    assert entry.headers == b'content-length: 4\r\netag: W/"a"\r\n\r\n'
    assert entry.not_modified == b'etag: W/"a"\r\n\r\n'
    assert cache.find((b"/a", "alice")) is None
    assert cache.find((b"/b", "all")) is None


def test_what_must_hold_beside_its_witness_is_kept_and_counted() -> None:
    cache, bare = HotCache(1 << 20), HotCache(1 << 20)
    beside = (Witness("signature", b"sha256:1" * 100), Witness("index", b"sha256:2"))
    offer(bare, b"/a", b"body")
    headers = [(b"Content-Length", b"4"), (b"ETag", b'W/"a"')]
    assert cache.offer(b"/a", "all", headers, b"body", Witness("tag", b"sha256:0", beside))
    entry = cache.find((b"/a", "all"))
    assert entry and entry.witness == Witness("tag", b"sha256:0", beside)
    assert cache.used > bare.used + 800
    cache.drop(entry.place)
    assert cache.used == 0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="no length"),
        pytest.param([(b"content-length", b"5")], id="another length"),
        pytest.param([(b"content-length", b"4"), (b"vary", b"accept")], id="Vary"),
        pytest.param([(b"content-length", b"4"), (b"Set-Cookie", b"a")], id="a cookie"),
        pytest.param([(b"content-length", b"4"), (b"connection", b"close")], id="the connection's end"),
        pytest.param([(b"content-length", b"4"), (b"transfer-encoding", b"chunked")], id="chunks"),
        pytest.param([(b"content-length", b"4"), (b"a", b"b\r\nc: d")], id="a line in a value"),
        pytest.param([(b"content-length", b"4"), (b"a b", b"c")], id="a space in a name"),
    ],
)
def test_what_depends_on_more_is_not_taken(headers: list[tuple[bytes, bytes]]) -> None:
    cache = HotCache(1 << 20)
    assert not cache.offer(b"/a", "all", headers, b"body", WITNESS)
    assert (len(cache), cache.used) == (0, 0)


def test_large_bodies_are_not_taken() -> None:
    cache = HotCache(1 << 20, largest=1000)
    assert offer(cache, b"/a", bytes(1000))
    assert not offer(cache, b"/b", bytes(1001))
    assert not offer(HotCache(1000), b"/a", bytes(900))
    assert (cache.holds(1000), cache.holds(1001)) == (True, False)


def test_bodies_over_the_budget_are_not_taken() -> None:
    for budget in (0, 1 << 20):
        cache = HotCache(budget)
        assert (cache.holds(cache.budget), cache.holds(cache.budget + 1)) == (True, False)
        assert not offer(cache, b"/a", bytes(cache.budget + 1))


def test_the_least_recently_used_goes_first() -> None:
    cache = HotCache(48_000)
    for target in (b"/a", b"/b", b"/c"):
        offer(cache, target, os.urandom(12_000))
    cache.find((b"/a", "all"))
    offer(cache, b"/d", os.urandom(12_000))
    assert [cache.find((target, "all")) is not None for target in (b"/a", b"/b", b"/c", b"/d")] == [
        True,
        False,
        True,
        True,
    ]


def test_an_offer_replaces() -> None:
    cache = HotCache(1 << 20)
    offer(cache, b"/a", b"old")
    used = cache.used
    offer(cache, b"/a", b"new")
    entry = cache.find((b"/a", "all"))
    assert entry is not None
    assert (entry.body, len(cache), cache.used) == (b"new", 1, used)


def test_equal_bodies_are_held_once() -> None:
    cache = HotCache(1 << 20)
    body = os.urandom(100_000)
    for target, audience in ((b"/tag", "all"), (b"/digest", "all"), (b"/tag", "alice")):
        offer(cache, target, bytes(bytearray(body)), audience)
    held = {
        id(entry.body) for place in ((b"/tag", "all"), (b"/tag", "alice")) if (entry := cache.find(place))
    }
    assert len(held) == 1
    assert 100_000 < cache.used < 110_000
    cache.drop((b"/tag", "all"))
    cache.drop((b"/tag", "alice"))
    assert cache.used > 100_000
    cache.drop((b"/digest", "all"))
    cache.drop((b"/digest", "all"))
    assert (cache.used, len(cache)) == (0, 0)


def test_bodies_that_only_look_alike_stay_apart() -> None:
    cache = HotCache(1 << 20)
    edge = bytes(64)
    bodies = [edge + middle * 1000 + edge for middle in (b"a", b"b", b"b")]
    for target, body in zip((b"/a", b"/b", b"/c"), bodies, strict=True):
        offer(cache, target, body)
    found = [entry.body for target in (b"/a", b"/b", b"/c") if (entry := cache.find((target, "all")))]
    assert found == bodies
    for target in (b"/b", b"/a", b"/c"):
        cache.drop((target, "all"))
    assert cache.used == 0


@pytest.mark.parametrize("size", [0, 700, 20_000])
def test_the_budget_holds_and_counts_at_least_what_is_taken(size: int) -> None:
    cache = HotCache(16 << 20)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(12_000):
            offer(cache, b"/v2/a/manifests/%d" % number, os.urandom(size), f"user-{number}")
            assert cache.used <= cache.budget
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.budget + cache.heads_budget == 16 << 20
    # A hundredth for the tables' growth in steps.
    assert taken * 0.99 <= cache.used <= 2 * taken
