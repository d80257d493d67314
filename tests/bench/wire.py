"""The client's side of pushes and of large blobs: plain sockets, so that the server is what is measured."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.real import images

_BUFFER = 1 << 20
_DOCKER_CHUNK = 32 << 10


@contextmanager
def connected(host: str, authorization: str = "") -> Iterator[http.client.HTTPConnection]:
    """A connection that shows a credential with each request, if there is one; closed at the end."""
    connection = _Connection(host, timeout=120)
    connection.authorization = authorization
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    authorization = ""

    def endheaders(self, *more: Any, **named: Any) -> None:
        if self.authorization:
            self.putheader("Authorization", self.authorization)
        super().endheaders(*more, **named)


def digest_of(content: bytes) -> str:
    """The digest of a blob at hand."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of_file(file: Path) -> str:
    """The digest of a file of any size."""
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def push_blob(connection: http.client.HTTPConnection, repository: str, content: bytes) -> str:
    """POST and PUT a blob; returns its digest."""
    location = _begin(connection, repository)
    digest = digest_of(content)
    headers = {"Content-Type": "application/octet-stream"}
    _expect(connection, "PUT", _with_digest(location, digest), 201, body=content, headers=headers)
    return digest


def push_manifest(
    connection: http.client.HTTPConnection, repository: str, reference: str, body: bytes
) -> None:
    """PUT an OCI image manifest."""
    headers = {"Content-Type": images.OCI_MANIFEST}
    _expect(connection, "PUT", f"/v2/{repository}/manifests/{reference}", 201, body=body, headers=headers)


def upload_whole(host: str, repository: str, file: Path, digest: str, end: bytes = b"") -> float:
    """One monolithic PUT of a file and an end to it; returns its seconds."""
    with connected(host) as connection:
        location = _with_digest(_begin(connection, repository), digest)
        began = time.perf_counter()
        _send_file(connection, "PUT", location, file, end)
        _take(connection, 201)
        return time.perf_counter() - began


def upload_streamed(host: str, repository: str, file: Path, digest: str, end: bytes = b"") -> float:
    """One PATCH of a file and an end to it in chunks, as docker sends it, and the closing PUT.

    Returns the seconds of both.
    """
    with connected(host) as connection:
        location = _begin(connection, repository)
        began = time.perf_counter()
        _send_chunked(connection, "PATCH", location, file, end)
        location = _location(_take(connection, 202))
        _expect(connection, "PUT", _with_digest(location, digest), 201)
        return time.perf_counter() - began


def download(host: str, repository: str, digest: str, size: int) -> float:
    """GET a blob and throw it away; returns its seconds."""
    buffer = bytearray(_BUFFER)
    with connected(host) as connection:
        began = time.perf_counter()
        connection.request("GET", f"/v2/{repository}/blobs/{digest}")
        response = connection.getresponse()
        received = 0
        while count := response.readinto(buffer):
            received += count
        seconds = time.perf_counter() - began
    if (response.status, received) != (200, size):
        raise RuntimeError(f"GET of {digest}: {response.status}, {received} of {size} bytes")
    return seconds


def _begin(connection: http.client.HTTPConnection, repository: str) -> str:
    return _location(_expect(connection, "POST", f"/v2/{repository}/blobs/uploads/", 202))


def _send_file(
    connection: http.client.HTTPConnection, method: str, path: str, file: Path, end: bytes
) -> None:
    connection.putrequest(method, path)
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Content-Length", str(file.stat().st_size + len(end)))
    connection.endheaders()
    with file.open("rb") as source:
        connection.sock.sendfile(source)
    connection.sock.sendall(end)


def _send_chunked(
    connection: http.client.HTTPConnection, method: str, path: str, file: Path, end: bytes
) -> None:
    connection.putrequest(method, path)
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    with file.open("rb") as source:
        while piece := source.read(_DOCKER_CHUNK):
            connection.sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    if end:
        connection.sock.sendall(b"%x\r\n%b\r\n" % (len(end), end))
    connection.sock.sendall(b"0\r\n\r\n")


def _expect(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    status: int,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> http.client.HTTPResponse:
    connection.request(method, path, body=body, headers=headers or {})
    return _take(connection, status)


def _take(connection: http.client.HTTPConnection, status: int) -> http.client.HTTPResponse:
    response = connection.getresponse()
    said = response.read()
    if response.status != status:
        raise RuntimeError(f"{response.status} instead of {status}: {said[:300]!r}")
    return response


def _location(response: http.client.HTTPResponse) -> str:
    parts = urlsplit(response.headers["Location"])
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"
