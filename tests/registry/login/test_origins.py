from __future__ import annotations

import pytest
from starlette.requests import Request

from registry.access.proxies import Proxies
from registry.audit.record import Origin
from registry.login.origins import Origins, direct

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
ORIGINS = Origins(Proxies(["10.0.0.0/8"]))


def request(peer: str | None, **fields: str) -> Request:
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    client = (peer, 4711) if peer is not None else None
    return Request({"type": "http", "scheme": "http", "headers": headers, "client": client})


def test_a_trusted_proxy_s_word_counts() -> None:
    said = request(PROXY, x_forwarded_for=CLIENT, x_request_id="a-1", x_forwarded_proto="https")
    assert ORIGINS.of(said) == Origin(CLIENT, "a-1")
    assert ORIGINS.scheme(said) == "https"


def test_of_who_is_not_trusted_nothing_counts() -> None:
    said = request(CLIENT, x_forwarded_for=PROXY, x_request_id="a-1", x_forwarded_proto="https")
    origin = ORIGINS.of(said)
    assert origin.address == CLIENT
    assert origin.request not in ("", "a-1")
    assert origin.request != ORIGINS.of(said).request, "each has its own"
    assert ORIGINS.scheme(said) == "http"


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\nb", '"', "é"])
def test_an_id_that_is_none_is_made(given: str) -> None:
    headers = [(b"x-request-id", given.encode())]
    made = ORIGINS.of(
        Request({"type": "http", "scheme": "http", "headers": headers, "client": (PROXY, 1)})
    ).request
    assert made and made != given


@pytest.mark.parametrize("said", ["HTTPS", "ftp", "https,http", ""])
def test_a_scheme_is_one_word(said: str) -> None:
    assert ORIGINS.scheme(request(PROXY, x_forwarded_proto=said)) == ("https" if said == "HTTPS" else "http")


def test_only_a_connection_of_its_own_is_direct() -> None:
    assert direct(request("127.0.0.1")) == "127.0.0.1"
    for field in ("forwarded", "x_forwarded_for", "x_real_ip", "via"):
        assert direct(request("127.0.0.1", **{field: "127.0.0.1"})) == "", field
    assert direct(request(None)) == ""
    assert ORIGINS.of(request(None)).address == ""
