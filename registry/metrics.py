"""What is counted, as Prometheus reads it; of several workers, each scrape shows the sum."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from registry.hot.cache import HotCache
from storage.gc.job import Collected
from storage.remembered import Remembered

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder where workers share their counts."""

_LAST: Literal["livemostrecent"] = "livemostrecent"


def share(folder: str) -> None:
    """Have the processes that are forked from here share their counts in a folder."""
    os.environ[SHARED_FOLDER] = folder
    # The client looked for the folder when it was imported.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one process. The hot path counts in plain integers, which `note_hot` brings over.

    So does the memory in front of a store; without one there are no counts of it.
    """

    def __init__(self, cache: HotCache, remembered: Remembered | None = None) -> None:
        registry = CollectorRegistry()
        self.requests = Counter(
            "sidecargo_requests",
            "Requests that the application answered, by route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._hot = Counter("sidecargo_hot", "Requests on the hot path.", ["outcome"], registry=registry)
        self._sent = Counter("sidecargo_hot_bytes", "Bytes of bodies sent from memory.", registry=registry)
        self._used = Gauge(
            "sidecargo_hot_used_bytes",
            "Bytes that the memory cache holds.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._registry = registry
        self._cache = cache
        self._noted = dict.fromkeys(("hits", "misses", "stale", "sent"), 0)
        self._store = _StoreMetrics(remembered, registry) if remembered else None
        self.collections = CollectionMetrics(registry)
        self.endings = EndingMetrics(registry)
        self.quotas = QuotaMetrics(registry)

    def note_hot(self) -> None:
        """Take over what the hot path has counted since the last time."""
        for name, before in self._noted.items():
            now = getattr(self._cache, name)
            counter = self._sent if name == "sent" else self._hot.labels(name)
            counter.inc(now - before)
            self._noted[name] = now
        self._used.set(self._cache.used)
        if self._store:
            self._store.note()

    def text(self) -> bytes:
        """All counts in Prometheus's text format."""
        self.note_hot()
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


class CollectionMetrics:
    """What garbage collection counts, in the process whose turn it was."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "sidecargo_gc_runs", "Garbage collections by how they ended.", ["outcome"], registry=registry
        )
        self._gone = Counter(
            "sidecargo_gc_objects",
            "What garbage collection has taken away, or brought back.",
            ["kind"],
            registry=registry,
        )
        self._bytes = Counter(
            "sidecargo_gc_bytes", "Bytes that it has taken away.", ["kind"], registry=registry
        )
        self._ended = Gauge(
            "sidecargo_gc_last_success_timestamp_seconds",
            "When a garbage collection of this server ended well, in Unix seconds.",
            registry=registry,
            multiprocess_mode="max",
        )
        self._seconds = Gauge(
            "sidecargo_gc_last_duration_seconds",
            "How long the last garbage collection of this server took.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._damaged = Gauge(
            "sidecargo_gc_damaged_repositories",
            "Repositories of which the last one took nothing, as they have what cannot be read.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        for outcome in ("done", "failed"):
            self._runs.labels(outcome)

    def note(self, done: Collected, *, ended: float, seconds: float) -> None:
        """A run has ended at this time (Unix seconds), after so long."""
        self._runs.labels("done").inc()
        for kind, number in (
            ("tag", done.tags),
            ("manifest", done.manifests),
            ("link", done.links),
            ("content", done.contents),
            ("purged", done.purged),
            ("restored", done.restored),
        ):
            self._gone.labels(kind).inc(number)
        for kind, size in (
            ("manifest", done.manifest_bytes),
            ("content", done.content_bytes),
            ("purged", done.purged_bytes),
        ):
            self._bytes.labels(kind).inc(size)
        self._ended.set(ended)
        self._seconds.set(seconds)
        self._damaged.set(len(done.damaged))

    def note_failure(self) -> None:
        """A run has failed."""
        self._runs.labels("failed").inc()


class EndingMetrics:
    """When what expires does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._at = Gauge(
            "sidecargo_expires_timestamp_seconds",
            "When the certificate or a robot expires, or a repository's next URL, in Unix seconds.",
            ["kind", "name"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._noted: set[tuple[str, str]] = set()

    def note_certificate(self, name: str, ends: float) -> None:
        """The certificate that is served ends then, in Unix seconds."""
        self._at.labels("certificate", name).set(ends)

    def note(self, nearest: Mapping[tuple[str, str], float]) -> None:
        """These expire, by kind and name; what was noted so before and is missing does not any more."""
        for kind, name in self._noted - set(nearest):
            # Counts that workers share cannot be taken back.
            self._at.labels(kind, name).set(math.nan)
        for (kind, name), at in nearest.items():
            self._at.labels(kind, name).set(at)
        self._noted |= set(nearest)


class QuotaMetrics:
    """How much of each quota is used."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._used, self._allowed, self._counted = (
            Gauge(
                f"sidecargo_quota_{name}", text, ["repositories"], registry=registry, multiprocess_mode=_LAST
            )
            for name, text in (
                ("used_bytes", "Bytes that the repositories of a quota hold together."),
                ("allowed_bytes", "Bytes that they may hold."),
                ("counted_timestamp_seconds", "When they were counted last, in Unix seconds."),
            )
        )

    def note(self, repositories: str, *, used: int, allowed: int, counted: float | None) -> None:
        """What was seen of a quota just now; `counted` is None while it was not counted yet."""
        self._allowed.labels(repositories).set(allowed)
        if counted is not None:
            self._used.labels(repositories).set(used)
            self._counted.labels(repositories).set(counted)


class _StoreMetrics:
    """What the memory in front of a store counts."""

    def __init__(self, remembered: Remembered, registry: CollectorRegistry) -> None:
        self._remembered = remembered
        self._reads = Counter(
            "sidecargo_store_reads",
            "Reads of small objects for pulls, by where the answer came from.",
            ["outcome"],
            registry=registry,
        )
        self._failures = Counter(
            "sidecargo_store_failures", "Calls that the store has failed.", registry=registry
        )
        self._degraded = Gauge(
            "sidecargo_store_degraded",
            "1 while the store does not answer.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._used = Gauge(
            "sidecargo_store_remembered_bytes",
            "Bytes that are remembered of small objects.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._noted = dict.fromkeys(("fetched", "remembered", "stale", "refused"), 0)
        self._failed = 0

    def note(self) -> None:
        """Take over what was counted since the last time."""
        remembered = self._remembered
        for outcome, before in self._noted.items():
            now = getattr(remembered.tally, outcome)
            self._reads.labels(outcome).inc(now - before)
            self._noted[outcome] = now
        self._failures.inc(remembered.failures - self._failed)
        self._failed = remembered.failures
        self._degraded.set(remembered.degraded is not None)
        self._used.set(remembered.used)
