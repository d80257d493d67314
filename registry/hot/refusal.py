"""What is answered where no application is asked: the spec's error form, and the connection ends with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from storage.errors import BodyTimeout, RegistryError, Unsupported


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status and the error that explains it."""

    status: HTTPStatus
    error: RegistryError

    def render(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole answer, `headers` (the server's own, such as `date`) first."""
        error = {"code": self.error.code, "message": str(self.error)}
        body = json.dumps({"errors": [error]}, separators=(",", ":")).encode()
        fields = [
            *headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"HTTP/1.1 %d %b" % (self.status, self.status.phrase.encode())]
        lines += [name + b": " + value for name, value in fields]
        return b"\r\n".join([*lines, b"", body])


class Refused(Exception):
    """Raised inside the parser's callbacks: it stops at once."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal.error))
        self.refusal = refusal


MALFORMED = Refusal(
    HTTPStatus.BAD_REQUEST,
    Unsupported("the request is not well-formed HTTP/1.1.", fix="See RFC 9112; a proxy may have changed it."),
)

HOST_AMBIGUOUS = Refusal(
    HTTPStatus.BAD_REQUEST,
    Unsupported("the request has no Host header, or more than one.", fix="Send exactly one (RFC 9112, 3.2)."),
)

TUNNEL = Refusal(
    HTTPStatus.BAD_REQUEST, Unsupported("CONNECT is not possible here.", fix="This registry is no proxy.")
)

HEAD_LATE = Refusal(
    HTTPStatus.REQUEST_TIMEOUT,
    Unsupported("the request's headers took too long to arrive.", fix="Try again over a better connection."),
)

BODY_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT,
    BodyTimeout(
        "the request's body came too slowly.", fix="Try again; a PATCHed upload goes on where it stands."
    ),
)


def head_too_large(max_bytes: int, max_fields: int) -> Refusal:
    """431: a head over the limits."""
    return Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        Unsupported(
            f"the request's headers take more than {max_bytes} bytes or {max_fields} fields.",
            fix="Send fewer or shorter headers; a large token or cookie is the usual cause.",
        ),
    )
