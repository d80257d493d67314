"""What a process counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registry.hot.cache import HotCache


class Metrics:
    """The counters of one process; `registry` is what `/metrics` prints."""

    def __init__(self, cache: HotCache) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sidecargo_requests",
            "Requests that the application answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.registry.register(_HotPath(cache))


class _HotPath(Collector):
    """The hot path counts in plain integers; they are read when somebody asks."""

    def __init__(self, cache: HotCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily("sidecargo_hot", "Requests that met the hot path.", labels=["outcome"])
        for outcome in ("hits", "misses", "stale"):
            answers.add_metric([outcome], getattr(self._cache, outcome))
        yield answers
        yield CounterMetricFamily(
            "sidecargo_hot_bytes", "Bytes of bodies from memory.", value=self._cache.sent
        )
        yield GaugeMetricFamily(
            "sidecargo_hot_used_bytes", "Bytes that the memory cache holds.", self._cache.used
        )
