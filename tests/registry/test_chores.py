import asyncio
import logging
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry import chores
from registry.access.expiry import DAY
from registry.access.robots import Robot
from registry.certificate import Certificate
from registry.chores import Chore
from registry.hot.cache import HotCache
from registry.hot.pulled import Pulled, what
from registry.metrics import SHARED_FOLDER, CollectionMetrics, Metrics
from registry.settings import Settings
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.store import Store
from tests.registry.certificates import Authority
from tests.storage.content import image, put, put_blob
from tests.storage.gc.scene import aged, older
from tests.storage.quota.process import Process
from tests.storage.unsteady import Clock, Unsteady


async def test_chores_are_done_while_they_are_under_way_and_not_after() -> None:
    done: list[str] = []
    enough = asyncio.Event()

    async def do() -> None:
        done.append("it")
        if len(done) == 3:
            enough.set()

    async with chores.under_way([Chore(0.001, do)]):
        await enough.wait()
    before = len(done)
    await asyncio.sleep(0.01)
    assert len(done) == before


async def test_a_chore_begins_after_its_delay() -> None:
    done: list[str] = []

    async def do(what: str) -> None:
        done.append(what)

    late = Chore(0.001, lambda: do("late"), delay=3600)
    async with chores.under_way([late, Chore(3600, lambda: do("soon"))]):
        await asyncio.sleep(0.01)
    assert done == ["soon"]


async def test_sweeping_says_what_it_swept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Store(DiskDriver(tmp_path), upload_limit=1)
    await store.uploads.start("team/a")
    await chores.sweep(store, 3600)
    assert caplog.messages == []
    await chores.sweep(store, -1)
    assert caplog.messages == ["swept 1 abandoned uploads"]


async def test_a_store_that_fails_does_not_end_the_chore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(DiskDriver(tmp_path), upload_limit=1)

    async def fail(**_: object) -> int:
        raise StoreUnavailable("the store is away.")

    monkeypatch.setattr(store, "sweep", fail)
    await chores.sweep(store, 1)
    assert caplog.messages == ["uploads were not swept: the store is away."]


async def test_who_pulled_what_is_kept_now_and_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsteady, pulled, digest = Unsteady(DiskDriver(tmp_path)), Pulled(), Digest.of(b"x")
    store = Store(unsteady.driver, upload_limit=1)

    def note(agent: bytes) -> None:
        pulled.note(what("team/a", digest), "everybody", agent, asyncio.get_running_loop().time())

    chore = chores.keeping(pulled, store)
    assert 0 < chore.delay <= chore.seconds <= 60
    note(b"one")
    await chore.do()
    note(b"two")
    unsteady.down = True
    await chore.do()
    (said,) = caplog.messages
    assert said.startswith("who pulled what was not kept: ")
    unsteady.down = False
    await chores.keep_last(pulled, store)
    assert {pull.agent for pull in await store.pulls("team/a").of(digest)} == {"one", "two"}


async def test_the_end_waits_for_no_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hangs(Pulled):
        async def keep(self, store: Store) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(chores, "_LAST_SECONDS", 0.01)
    await chores.keep_last(Hangs(), Store(DiskDriver(Path("/nowhere"), ()), upload_limit=1))
    assert caplog.messages == ["who pulled what was not kept: the store does not answer"]


async def test_the_folder_of_the_counts_stays_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(tmp_path, (1, 1))
    monkeypatch.setenv(SHARED_FOLDER, str(tmp_path))
    await chores.count(Metrics(HotCache(1 << 20)))
    assert os.stat(tmp_path).st_mtime > 1  # noqa: PTH116


def counts() -> CollectionMetrics:
    return Metrics(HotCache(0)).collections


@pytest.fixture
async def garbage(tmp_path: Path) -> DiskDriver:
    """A store with an old blob that nothing names."""
    driver = DiskDriver(tmp_path)
    await put_blob(Store(driver, upload_limit=1 << 20).repository("team/a"), b"unused")
    aged(driver, 2)
    return driver


async def test_garbage_is_collected_when_its_time_has_come(
    garbage: DiskDriver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chore = chores.collecting(Settings(), garbage, tmp_path / "temp", counts())
    assert chore.seconds <= 3600
    await chore.do()
    await chore.do()
    assert caplog.messages == [], "the first time is a day away"
    await garbage.put(paths.COLLECTED, b'{"began":1}')
    for _ in range(2):
        await chore.do()
    assert caplog.messages == [
        "collected tags=0 manifests=0 links=1 contents=0 bytes=0 purged=0 restored=0 damaged=0"
    ]


async def test_garbage_is_collected_by_the_rules_of_the_settings(tmp_path: Path) -> None:
    driver = DiskDriver(tmp_path)
    repository = Store(driver, upload_limit=1 << 20).repository("ci/a")
    await put(repository, image(), "old")
    older(driver, 3)
    await put(repository, image(kind="a/new"), "new")
    settings = Settings.model_validate(
        {"retention": [{"repositories": "ci/**", "keep": {"last": 1}}], "gc": {"interval": "1s"}}
    )
    await driver.put(paths.COLLECTED, b'{"began":1}')
    await chores.collecting(settings, driver, tmp_path / "temp", counts()).do()
    assert (await repository.tags.page()).names == ("new",)


async def test_what_cannot_be_collected_does_not_end_the_chore(
    garbage: DiskDriver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await garbage.put(paths.manifest("team/a", Digest.of(b"x")), b"y")
    await garbage.put(paths.COLLECTED, b"damaged")
    await chores.collecting(Settings(), garbage, tmp_path / "temp", counts()).do()
    await garbage.put(paths.COLLECTED, b"damaged")
    await chores.collecting(Settings(), garbage, tmp_path / "none", counts()).do()
    told, failed = caplog.messages
    assert told == "of team/a nothing was collected: it has a manifest or a tag that cannot be read"
    assert failed.startswith("garbage was not collected: the temporary file of garbage collection")


def expirations(metrics: Metrics) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in metrics.text().decode().splitlines()]
    return {
        name.partition("{")[2].rstrip("}"): float(value)
        for name, value in lines
        if name.startswith("sidecargo_expires_timestamp_seconds{")
    }


async def test_what_expires_is_announced_once_a_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    driver, metrics, clock = DiskDriver(tmp_path), Metrics(HotCache(0)), Clock()
    clock.now = begun = 20_000 * DAY
    robots = [Robot("mesh", (), datetime.fromtimestamp(begun + 40 * DAY, UTC).date()), Robot("other", ())]
    given = Store(driver, upload_limit=1).urls("team/a")
    url = await given.give("v1", by="user:a", now=begun, ends=begun + 8 * DAY)
    late = await given.give("v1", by="user:a", now=begun, ends=begun + 90 * DAY)
    await given.give("v1", by="user:a", now=begun)
    days: dict[int, list[str]] = {}
    for hour in range(0, 50 * 24, 6):
        clock.now = begun + hour * 3600
        for _ in range(2):  # as another server does, too
            await chores.announce(driver, robots, metrics.endings, clock)
        days.setdefault(hour // 24, []).extend(caplog.messages)
        caplog.clear()
        if hour == 0:
            assert expirations(metrics) == {
                'kind="robot",name="mesh"': begun + 40 * DAY,
                'kind="url",name="team/a"': begun + 8 * DAY,
            }
    said = {day: messages for day, messages in days.items() if messages}
    name = f"the url {url.id} of team/a:v1"
    assert {day: [text.partition(" on ")[0] for text in texts] for day, texts in said.items()} == {
        0: [f"{name} expires"],
        1: [f"{name} expires"],
        7: [f"{name} expires"],
        8: [f"{name} expired"],
        10: ["the robot mesh expires"],
        33: ["the robot mesh expires"],
        39: ["the robot mesh expires"],
        40: ["the robot mesh expired"],
    }
    assert said[33][0].endswith(", within 7 days")
    assert expirations(metrics)['kind="url",name="team/a"'] == begun + 90 * DAY
    assert [one.id for one in await given.of("v1") if one.ends] == [late.id], "what is over for long is gone"
    await given.revoke("v1")
    await chores.announce(driver, robots, metrics.endings, clock)
    assert math.isnan(expirations(metrics)['kind="url",name="team/a"'])


async def test_a_store_that_fails_announces_nothing_and_ends_no_chore(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Unsteady(DiskDriver(tmp_path))
    store.down = True
    await chores.announcing(store.driver, [], Metrics(HotCache(0)).endings).do()
    (said,) = caplog.messages
    assert said.startswith("what expires was not looked at: ")


async def test_a_collection_is_counted(garbage: DiskDriver, tmp_path: Path) -> None:
    metrics = Metrics(HotCache(0))

    async def collect(folder: str) -> dict[str, float]:
        await garbage.put(paths.COLLECTED, b"damaged")
        await chores.collecting(Settings(), garbage, tmp_path / folder, metrics.collections).do()
        lines = [line.rsplit(" ", 1) for line in metrics.text().decode().splitlines() if line[0] != "#"]
        return {name.removeprefix("sidecargo_gc_"): float(value) for name, value in lines if "_gc_" in name}

    begun = time.time()
    found = await collect("temp")
    assert (found['runs_total{outcome="done"}'], found['runs_total{outcome="failed"}']) == (1, 0)
    assert found['objects_total{kind="link"}'] == 1
    assert begun <= found["last_success_timestamp_seconds"] <= time.time()
    assert found["last_duration_seconds"] > 0
    aged(garbage, 4)
    await garbage.put(paths.manifest("team/b", Digest.of(b"x")), b"y")
    found = await collect("temp")
    assert found['objects_total{kind="content"}'] == 1
    assert found['bytes_total{kind="content"}'] == len(b"unused")
    assert found["damaged_repositories"] == 1
    ended = found["last_success_timestamp_seconds"]
    found = await collect("none")
    assert (found['runs_total{outcome="done"}'], found['runs_total{outcome="failed"}']) == (2, 1)
    assert found["last_success_timestamp_seconds"] == ended


async def test_a_certificate_is_looked_at_and_its_end_is_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.make("served")
    certificate, metrics = Certificate(files.certificate, files.key), Metrics(HotCache(1 << 20))
    name = b'sidecargo_expires_timestamp_seconds{kind="certificate",name="served.crt"}'
    assert name not in metrics.text(), "without TLS nothing is said of it"
    ends = []
    for renewed in (None, authority.make("renewed", ends=90)):
        if renewed is not None:
            files.replace(renewed)
        await chores.renew(certificate, metrics.endings)
        (line,) = [line for line in metrics.text().splitlines() if line.startswith(name)]
        ends.append(float(line.split()[1]))
    assert ends[1] - ends[0] > 80 * 86_400


async def test_quotas_are_counted_when_they_were_not_for_long(tmp_path: Path) -> None:
    clock = Clock()
    process = Process(DiskDriver(tmp_path), clock, **{"team/**": 100})
    metrics = Metrics(HotCache(1))
    seen = []
    for seconds in (0, 10, 3600):
        clock.now += seconds
        await chores.account(process.quotas, 3000, metrics.quotas)
        seen.append((await process.quotas.accounts[0].book.ledger()).counted)
    assert seen == [1000, 1000, 4610]
    assert b'sidecargo_quota_allowed_bytes{repositories="team/**"} 100.0' in metrics.text()
    assert b'sidecargo_quota_used_bytes{repositories="team/**"} 0.0' in metrics.text()
    assert chores.accounting(None, 3000, metrics.quotas) == []


async def test_quotas_that_cannot_be_counted_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsteady = Unsteady(DiskDriver(tmp_path))
    unsteady.down = True
    process = Process(unsteady.driver, **{"team/**": 100})
    await chores.account(process.quotas, 3000, Metrics(HotCache(1)).quotas)
    assert "what quotas have in use was not counted" in caplog.text
