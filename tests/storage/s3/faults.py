"""What goes over the wire to S3: counted, and disturbed between the driver and a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import botocore.awsrequest
import botocore.httpsession
from botocore.exceptions import ConnectionClosedError
from urllib3.exceptions import ProtocolError

from storage.s3 import form
from storage.s3.client import S3Client
from storage.s3.driver import S3Driver

Disturbance = Callable[[Any], Any]
"""Takes a request that is about to be sent; an answer instead of the store's, or None to let it go."""


class Wire:
    """The calls of a driver, in order, by their names in S3; each try is one."""

    def __init__(self, driver: S3Driver) -> None:
        self.calls: list[str] = []
        self._next: dict[str, list[Disturbance]] = {}
        driver.client.boto.meta.events.register("before-send.s3", self._send)

    def disturb(self, call: str, *disturbances: Disturbance) -> None:
        """Let these happen to the next tries of a call, one after the other."""
        self._next.setdefault(call, []).extend(disturbances)

    def forget(self) -> None:
        """Begin to count anew."""
        self.calls.clear()

    def _send(self, request: Any, event_name: str, **_: Any) -> Any:
        call = event_name.rpartition(".")[2]
        self.calls.append(call)
        waiting = self._next.get(call)
        return waiting.pop(0)(request) if waiting else None


def reset(request: Any) -> Any:
    """The connection breaks before the store has seen the request."""
    raise ConnectionClosedError(endpoint_url=request.url)


def lost(request: Any) -> Any:
    """The store does what is asked, and its answer never comes."""
    _send(request)
    raise ConnectionClosedError(endpoint_url=request.url)


def breaks_off(request: Any) -> Any:
    """The store answers an error, whose body breaks off."""
    return _Answer(request.url, 404, None)


def answers(status: int, code: str) -> Disturbance:
    """The store answers an error and does nothing."""
    text = f"<Error><Code>{code}</Code><Message>SECRET</Message></Error>".encode()

    def answer(request: Any) -> Any:
        return _Answer(request.url, status, text if request.method != "HEAD" else b"")

    return answer


def after(status: int, code: str) -> Disturbance:
    """The store does what is asked and answers an error."""

    def answer(request: Any) -> Any:
        _send(request)
        return answers(status, code)(request)

    return answer


def between(work: Callable[[], None]) -> Disturbance:
    """Something happens before the request is sent."""

    def happen(request: Any) -> None:
        work()

    return happen


class _Answer(botocore.awsrequest.AWSResponse):
    """Without a text its body breaks off."""

    def __init__(self, url: str, status: int, text: bytes | None) -> None:
        super().__init__(url, status, {"content-length": str(len(text or b""))}, None)
        self._text = text

    @property
    def content(self) -> bytes:
        if self._text is None:
            raise ProtocolError("Connection broken")
        return self._text


def _send(request: Any) -> None:
    session = botocore.httpsession.URLLib3Session()
    try:
        assert session.send(request).status_code < 300
    finally:
        session.close()
        request.reset_stream()


async def seen_busy(client: S3Client) -> None:
    """Until others see that a writer is at `u/1`."""
    async with asyncio.timeout(30):
        while not (await form.look(client, "u/1")).busy:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.05)
