"""Load from wrk: how many answers a second, and how long the slowest hundredth waits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.bench.content import ACCEPT
from tests.bench.peers import part
from tests.real.process import succeed

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Load:
    """One run: answers a second, and the 99th percentile of the waiting times in milliseconds."""

    rate: float
    p99: float


def measure(url: str, *, accept: str = "", authorization: str = "", seconds: int = 3) -> Load:
    """One thread, 64 connections, one URL; raises RuntimeError when an answer is not 2xx."""
    fields = {"Accept": accept, "Authorization": authorization}
    headers = [word for name, value in fields.items() if value for word in ("--header", f"{name}: {value}")]
    words = ["--threads", "1", "--connections", "64", "--duration", f"{seconds}s", "--latency"]
    said = succeed(part("wrk"), *words, *headers, url).out
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{url}:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if not rate or not p99:
        raise RuntimeError(said)
    return Load(float(rate.group(1)), float(p99.group(1)) * _UNITS[p99.group(2)])


def hot(url: str, *, blob: bool, seconds: int, authorization: str = "") -> Load:
    """The same of a blob or a manifest that was asked for a second before."""
    accept = "" if blob else ACCEPT
    measure(url, accept=accept, authorization=authorization, seconds=1)
    return measure(url, accept=accept, authorization=authorization, seconds=seconds)
