"""What a process does now and then beside serving: sweep, collect, count, see whether it is still wanted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from registry.access import expiry
from registry.access.expiry import Ending
from registry.access.robots import Robot
from registry.certificate import Certificate
from registry.hot.pulled import Pulled
from registry.metrics import SHARED_FOLDER, CollectionMetrics, EndingMetrics, Metrics, QuotaMetrics
from registry.settings import Settings
from storage import paths, turn, urls
from storage.driver import Driver
from storage.errors import Busy, StoreError
from storage.gc import lease
from storage.gc.collector import Collector
from storage.quota import counting
from storage.quota.account import Account
from storage.quota.quotas import Quotas
from storage.store import Store

_log = logging.getLogger("sidecargo")

_ASK_EVERY = 600.0
_DAMAGED_NAMED = 10
_LOOK_AT_ENDINGS_EVERY = 6 * 3600.0
_ANNOUNCED_EVERY = 23 * 3600.0  # once a day, though the look of that day may come somewhat early
_LOOK_AT_QUOTAS_EVERY = 30.0
_ANNOUNCED = 100
_KEEP_EVERY = 60.0
_LAST_SECONDS = 5.0
_FORGOTTEN_AFTER = 30 * expiry.DAY
_CHANCE = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so many seconds, the first time after `delay`."""

    seconds: float
    do: Callable[[], Awaitable[None]]
    delay: float = 0.0

    async def for_ever(self) -> None:
        """Do it until cancelled."""
        await asyncio.sleep(self.delay)
        while True:
            await self.do()
            await asyncio.sleep(self.seconds)


@contextlib.asynccontextmanager
async def under_way(chores: Sequence[Chore]) -> AsyncIterator[None]:
    """Do the chores meanwhile."""
    tasks = [asyncio.create_task(chore.for_ever()) for chore in chores]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def sweep(store: Store, age: float) -> None:
    """Remove uploads that received nothing for `age` seconds, and what writers that died left behind."""
    try:
        swept = await store.sweep(age=age)
    except StoreError as error:
        _log.warning("uploads were not swept: %s", error)
    else:
        if swept:
            _log.info("swept %d abandoned uploads", swept)


def collecting(settings: Settings, driver: Driver, folder: Path, counts: CollectionMetrics) -> Chore:
    """Collect garbage when its time has come; `folder` is for what a run has seen."""
    interval = settings.gc.interval.total_seconds()
    every = min(interval, _ASK_EVERY)
    ask = partial(collect, driver, collector_of(settings, driver, folder), interval, counts)
    # Servers that start together do not ask together.
    return Chore(every, ask, delay=every * _CHANCE.uniform(0.1, 1.0))


def collector_of(settings: Settings, driver: Driver, folder: Path, **options: Any) -> Collector:
    """What collects garbage by these settings."""
    history = settings.tags.history.total_seconds()
    return Collector(driver, settings.keep, history=history, folder=folder, **options)


async def collect(driver: Driver, collector: Collector, interval: float, counts: CollectionMetrics) -> None:
    """Collect garbage, where no server has begun to within about `interval` seconds."""
    wanted = interval * _CHANCE.uniform(0.95, 1.05)
    try:
        if not await lease.taken(driver, now=time.time(), interval=wanted):
            return
        began = time.monotonic()
        done = await collector.run()
    except StoreError as error:
        counts.note_failure()
        _log.warning("garbage was not collected: %s", error)
        return
    counts.note(done, ended=time.time(), seconds=time.monotonic() - began)
    _log.info(
        "collected tags=%d manifests=%d links=%d contents=%d bytes=%d purged=%d restored=%d damaged=%d",
        done.tags,
        done.manifests,
        done.links,
        done.contents,
        done.content_bytes,
        done.purged,
        done.restored,
        len(done.damaged),
    )
    for name in done.damaged[:_DAMAGED_NAMED]:
        _log.warning("of %s nothing was collected: it has a manifest or a tag that cannot be read", name)


def accounting(quotas: Quotas | None, interval: float, metrics: QuotaMetrics) -> list[Chore]:
    """Show what quotas have in use, and count what was not counted for `interval` seconds."""
    return [Chore(_LOOK_AT_QUOTAS_EVERY, partial(account, quotas, interval, metrics))] if quotas else []


async def account(quotas: Quotas, interval: float, metrics: QuotaMetrics) -> None:
    """Count the quotas that were not counted for about `interval` seconds; note what all have in use."""
    try:
        due = [one for one in quotas.accounts if await _is_due(one, interval)]
        if due:
            counted = await counting.count(quotas, due)
            _log.info("counted what %d of %d quotas have in use", len(counted), len(due))
        for one in quotas.accounts:
            seen = await one.book.ledger()
            metrics.note(one.title, used=seen.used, allowed=one.allowed, counted=seen.counted)
    except (StoreError, Busy) as error:
        _log.warning("what quotas have in use was not counted: %s", error)


async def _is_due(one: Account, interval: float) -> bool:
    seen, now = await one.book.ledger(), one.book.clock()
    if seen.count is not None and now < seen.count.until:
        return False
    return seen.counted is None or now - seen.counted > interval * _CHANCE.uniform(0.95, 1.05)


async def renew(certificate: Certificate, metrics: EndingMetrics) -> None:
    """Serve the certificate that its files have now."""
    await asyncio.to_thread(certificate.look)
    metrics.note_certificate(certificate.ending.name, certificate.ending.at)


def announcing(driver: Driver, robots: Sequence[Robot], metrics: EndingMetrics) -> Chore:
    """Look what expires, now and then."""
    # Soon after the start, but not all servers at once.
    delay = _CHANCE.uniform(1.0, 30.0)
    return Chore(_LOOK_AT_ENDINGS_EVERY, partial(announce, driver, robots, metrics), delay)


async def announce(
    driver: Driver,
    robots: Sequence[Robot],
    metrics: EndingMetrics,
    clock: Callable[[], float] = time.time,
) -> None:
    """Note when robots and capability URLs expire; say what does in 30, 7 and 1 days, and what is over.

    Of all servers one says it, once a day at most. What is over for long is forgotten.
    """
    now = clock()
    endings = list(expiry.of_robots(robots))
    nearest = {(one.kind, one.name): one.at for one in endings}
    try:
        async for found in urls.every(driver):
            if (ends := found.url.ends) is None:
                continue
            if now - ends > _FORGOTTEN_AFTER:
                await urls.Urls(driver, found.repository).revoke(found.reference, found.url.id)
                continue
            endings.append(_ending(found, ends))
            if ends > now:
                place = expiry.URL, found.repository
                nearest[place] = min(ends, nearest.get(place, ends))
        metrics.note(nearest)
        last = await turn.taken(driver, paths.ANNOUNCED, now=now, interval=_ANNOUNCED_EVERY)
    except StoreError as error:
        _log.warning("what expires was not looked at: %s", error)
        return
    said = [] if last is None else expiry.due(endings, last, now)
    for one in said[:_ANNOUNCED]:
        _log.warning("%s", one.told(now))
    if len(said) > _ANNOUNCED:
        _log.warning("%d more expire, or did", len(said) - _ANNOUNCED)


def _ending(found: urls.Of, ends: float) -> Ending:
    joint = "@" if ":" in found.reference else ":"
    return Ending(expiry.URL, f"{found.url.id} of {found.repository}{joint}{found.reference}", ends)


def keeping(pulled: Pulled, store: Store) -> Chore:
    """Keep who pulled what."""
    # Servers that start together do not write together.
    return Chore(_KEEP_EVERY, partial(keep, pulled, store), delay=_KEEP_EVERY * _CHANCE.uniform(0.5, 1.0))


async def keep(pulled: Pulled, store: Store) -> None:
    """Let the store have what is noted; where it fails, it is for the next time."""
    try:
        await pulled.keep(store)
    except StoreError as error:
        _log.warning("who pulled what was not kept: %s", error)


async def keep_last(pulled: Pulled, store: Store) -> None:
    """Keep who pulled what before the process ends, which waits for no store that hangs."""
    try:
        async with asyncio.timeout(_LAST_SECONDS):
            await keep(pulled, store)
    except TimeoutError:
        _log.warning("who pulled what was not kept: the store does not answer")


async def count(metrics: Metrics) -> None:
    """Share what the hot path has counted; the folder of the counts stays young, so it is not swept."""
    metrics.note_hot()
    if folder := os.environ.get(SHARED_FOLDER):
        os.utime(folder)
