"""What is counted, as Prometheus reads it; of several workers, each scrape shows the sum."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from registry.hot.cache import HotCache

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder where workers share their counts; read when the client is imported."""


class Metrics:
    """The counters of one process. The hot path counts in plain integers, which `note_hot` brings over."""

    def __init__(self, cache: HotCache) -> None:
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

    def note_hot(self) -> None:
        """Take over what the hot path has counted since the last time."""
        for name, before in self._noted.items():
            now = getattr(self._cache, name)
            counter = self._sent if name == "sent" else self._hot.labels(name)
            counter.inc(now - before)
            self._noted[name] = now
        self._used.set(self._cache.used)

    def text(self) -> bytes:
        """All counts in Prometheus's text format."""
        self.note_hot()
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
