"""Plain HTTP for tests: a request, its whole answer, no connection left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    trust: Path | None = None,
    seconds: float = 30,
) -> Answer:
    """Send a request, without retries; redirects are not followed. `trust` is the authority that counts."""
    with urllib3.PoolManager(retries=False, timeout=seconds, ca_certs=trust and str(trust)) as pool:
        answer = pool.request(method, url, body=body, headers=headers, redirect=False)
        return Answer(answer.status, answer.headers, answer.data)


def get(url: str, headers: Mapping[str, str] | None = None, *, trust: Path | None = None) -> Answer:
    """GET a URL."""
    return request("GET", url, headers=headers, trust=trust)


def answers(url: str, *, trust: Path | None = None) -> bool:
    """Whether a GET of the URL answers 200 now."""
    try:
        return get(url, trust=trust).status == 200
    except urllib3.exceptions.HTTPError:
        return False
