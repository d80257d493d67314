"""Asking an issuer over HTTP: nobody but whom the settings name, not for long, and for no more than fits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode, urlsplit

from registry import __version__
from storage.errors import Busy

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

LARGEST = 1 << 20
"""Bytes of an answer that are read."""

SECONDS = 10.0
"""How long an answer may take, all of it."""

THREADS = 4
WAITING = 100

_PIECE = 64 << 10
_CONNECT_SECONDS, _READ_SECONDS = 3, 5
# Kubernetes gives a set of keys to nobody who does not take its own type.
_TAKEN = "application/json, application/jwk-set+json"
_PLAIN_HTTP = ("localhost", "127.0.0.1", "::1")

_T = TypeVar("_T")


class IssuerSilent(Exception):
    """An issuer that does not answer, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `form` makes it a POST; `ca` is the file of who signs certificates there."""

    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None
    ca: str | None = None


class Asking:
    """A bounded pool of threads in which issuers are asked: one that hangs holds up nobody else's work."""

    def __init__(self, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, "issuers")
        self._left = threads + waiting

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do what waits for an issuer; raises Busy where too many are waiting."""
        if self._left == 0:
            raise Busy("too many are signing in now.", fix="Try again in a few seconds.")
        self._left -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._left += 1

    async def close(self) -> None:
        """Wait for nothing that has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def answer(asked: Asked) -> bytes:
    """The body of the answer 200; blocks. Redirects are not followed. Raises IssuerSilent."""
    # Here: a server that knows no issuers needs none of it.
    from urllib3 import PoolManager, Timeout  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    if not is_safe(asked.url):
        raise IssuerSilent(f"{asked.url} is not by https")
    end = time.monotonic() + SECONDS
    timeout = Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    # A pool for each: a certificate's authority that was renewed counts at the next look.
    with PoolManager(num_pools=1, ca_certs=asked.ca, timeout=timeout) as pool:
        try:
            response = pool.request(
                "GET" if asked.form is None else "POST",
                asked.url,
                headers={"User-Agent": f"sidecargo/{__version__}", "Accept": _TAKEN}
                | ({} if asked.form is None else {"Content-Type": "application/x-www-form-urlencoded"})
                | dict(asked.headers),
                body=None if asked.form is None else urlencode(asked.form),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            with response:
                if response.status != 200:
                    raise IssuerSilent(f"{asked.url} answered {response.status}")
                return _body(response, asked.url, end)
        except (HTTPError, OSError) as error:
            raise IssuerSilent(f"{asked.url} did not answer: {_reason(error)}") from None
        except ValueError:  # of a header, whose value it quotes
            raise IssuerSilent(f"{asked.url} was not asked: what it should be shown is no header") from None


def is_safe(url: str) -> bool:
    """Whether nobody on the way to a URL reads or changes anything: https, or http on this machine."""
    try:
        found = urlsplit(url)
        _ = found.port
    except ValueError:
        return False
    return found.scheme == "https" or (found.scheme == "http" and found.hostname in _PLAIN_HTTP)


def _body(response: BaseHTTPResponse, url: str, end: float) -> bytes:
    body = b""
    # Piece by piece as they come: one that sends a byte now and then comes to its end, too.
    while piece := response.read1(_PIECE):
        body += piece
        if len(body) > LARGEST:
            raise IssuerSilent(f"{url} answered more than {LARGEST} bytes")
        if time.monotonic() > end:
            raise IssuerSilent(f"{url} did not answer within {SECONDS:g} seconds")
    return body


def _reason(error: Exception) -> str:
    # urllib3 puts the connection's repr before what went wrong.
    return str(error).rpartition(">: ")[2] or type(error).__name__
