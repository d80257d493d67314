"""HTTP to a registry: retries, time-outs, and what a failure says to its reader."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
from urllib3.util import Retry, Timeout

from registry import __version__
from registry.console.failure import Failure
from registry.console.terminal import printable

CHUNK = 1 << 20
_MAX_SAID = 1 << 16
_FIXES = {
    401: "Log in with docker login.",
    403: "Ask for the right to do that, or log in as somebody who has it.",
    404: "Look for a mistake in the name.",
}
_TIMEOUT = Timeout(connect=10, read=120)
# POST is among them: it only opens an upload session, which is swept when nobody uses it.
_RETRIES = Retry(
    total=5,
    connect=2,
    other=0,
    redirect=5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "HEAD", "POST", "PUT"),
    backoff_factor=0.2,
    backoff_max=10,
    backoff_jitter=0.1,
    retry_after_max=60,
    raise_on_status=False,
)


class RemoteError(Failure):
    """A registry that cannot be reached, refuses, or answers wrongly; `status` is 0 without an answer."""

    def __init__(self, message: str, fix: str = "", *, status: int = 0) -> None:
        super().__init__(message, fix)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered, and the `url` that did in the end. The body is read, or dropped, once."""

    url: str
    status: int
    headers: HTTPHeaderDict
    _response: urllib3.BaseHTTPResponse

    def pieces(self, limit: int) -> Iterator[bytes]:
        """The body piece by piece; RemoteError as soon as it is over `limit`, or when it breaks off."""
        host = urlsplit(self.url).netloc
        size = 0
        try:
            for piece in self._response.stream(CHUNK, decode_content=False):
                size += len(piece)
                if size > limit:
                    raise RemoteError(f"{host} sends more than the {limit} bytes that were expected.")
                yield piece
        except HTTPError as error:
            raise RemoteError(f"{host} broke off: {_reason(error)}.", "Try again.") from None
        finally:
            if size > limit:
                self._response.close()
            self._response.release_conn()

    def body(self, limit: int) -> bytes:
        """The whole body; RemoteError as for `pieces`."""
        return b"".join(self.pieces(limit))

    def drop(self) -> None:
        """Leave the body."""
        self._response.drain_conn()
        self._response.release_conn()

    def refusal(self, doing: str) -> RemoteError:
        """The error that it stands for, in the registry's own words; `doing` says what was tried."""
        try:
            said = _said(self.body(_MAX_SAID))
        except RemoteError:
            said = ""
        # What the registry says has its own fix; ours is for one that says nothing.
        fix = _FIXES.get(self.status, "") if self.status == 401 or not said else ""
        return RemoteError(f"{doing}: {self.status} {said}".rstrip(), fix, status=self.status)


class Transport:
    """Sends requests; nothing in it knows a credential."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=4, timeout=_TIMEOUT)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None = None,
    ) -> Answer:
        """One request, tried again where that may help; its answer, not yet read.

        Reading follows redirects, and urllib3 leaves Authorization behind when they lead to another
        origin. Writing follows none. Raises RemoteError when there is no answer.
        """
        try:
            response = self._pool.request(
                method,
                url,
                headers={"User-Agent": f"sidecargo/{__version__}", "Accept-Encoding": "identity", **headers},
                body=body,
                retries=_RETRIES,
                redirect=method in ("GET", "HEAD"),
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, ValueError) as error:
            raise _unreachable(url, error) from None
        return Answer(_end_of(url, response), response.status, response.headers, response)

    def speaks_tls(self, host: str) -> bool:
        """Whether https gets an answer there, whatever it is; raises RemoteError for a bad certificate."""
        url = f"https://{host}/v2/"
        try:
            self._pool.request("GET", url, retries=False, redirect=False, timeout=5)
        except HTTPError as error:
            if _is_bad_certificate(error):
                raise _unreachable(url, error) from None
            return False
        return True


def _end_of(url: str, response: urllib3.BaseHTTPResponse) -> str:
    for step in response.retries.history if response.retries else ():
        if step.redirect_location:
            url = urljoin(url, step.redirect_location)
    return url


def _said(body: bytes) -> str:
    """The messages of the spec's error document, else nothing: other bodies are pages of proxies."""
    try:
        errors = json.loads(body)["errors"]
        found = [": ".join(part for part in _code_and_message(error) if part) for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return printable("; ".join(one for one in found if one))


def _code_and_message(error: dict[str, Any]) -> tuple[str, str]:
    return str(error.get("code") or ""), str(error.get("message") or "")


def _unreachable(url: str, error: Exception) -> RemoteError:
    host = printable(urlsplit(url).netloc, 300)
    if _is_bad_certificate(error):
        fix = "Name its CA by SSL_CERT_FILE."
    elif url.startswith("https:"):
        fix = f"Is the address right, and does it run? If it speaks plain HTTP, add --plain-http {host}."
    else:
        fix = "Is the address right, and does it run?"
    return RemoteError(f"{host} cannot be reached: {_reason(error)}.", fix)


def _is_bad_certificate(error: BaseException) -> bool:
    cause = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(cause, SSLError) and any(
        isinstance(part, ssl.SSLCertVerificationError) for part in cause.args
    )


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    # urllib3 puts the connection's repr before what went wrong.
    return printable(str(cause).rpartition(">: ")[2], 200).rstrip(".")
