"""Where a request comes from, by its connection and what trusted proxies on the way say of it."""

from __future__ import annotations

import re
import uuid

from starlette.requests import Request

from registry.access.proxies import Proxies
from registry.audit.record import Origin

REQUEST_ID = "X-Request-Id"

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Origins:
    """Reads what proxies add to a request; of those that are not trusted, nothing counts."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def of(self, request: Request) -> Origin:
        """The client's address and the request's id, which is made where no trusted proxy has given one."""
        peer = _peer(request)
        headers = request.headers
        given = headers.get(REQUEST_ID, "") if self._proxies.trusts(peer) else ""
        made = given if _ID.fullmatch(given) else uuid.uuid4().hex
        return Origin(self._proxies.client(peer, headers.getlist("x-forwarded-for")), made)

    def scheme(self, request: Request) -> str:
        """How the client speaks: as the connection does, or as a trusted proxy says."""
        said = request.headers.get("x-forwarded-proto", "").lower()
        if said in ("http", "https") and self._proxies.trusts(_peer(request)):
            return said
        return str(request.scope["scheme"])


def direct(request: Request) -> str:
    """The address of the connection where it is the client's own.

    "" where a proxy says that it is not, trusted or not: nobody gets rights for what somebody says.
    """
    return "" if any(name in request.headers for name in _FORWARDED) else _peer(request)


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
