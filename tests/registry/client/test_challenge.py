from __future__ import annotations

import pytest

from registry.client.challenge import read


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(['Basic realm="x"'], [("basic", {"realm": "x"})], id="basic"),
        pytest.param(
            ['Bearer realm="https://a/token",service="s",scope="repository:a:pull,push"'],
            [("bearer", {"realm": "https://a/token", "service": "s", "scope": "repository:a:pull,push"})],
            id="a comma in quotes",
        ),
        pytest.param(
            ['Basic realm="a", Bearer realm="b",service=c'],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "b", "service": "c"})],
            id="two in one header",
        ),
        pytest.param(
            ['bearer realm="b"', 'BASIC Realm="a"'],
            [("bearer", {"realm": "b"}), ("basic", {"realm": "a"})],
            id="two headers, any case",
        ),
        pytest.param(["Basic"], [("basic", {})], id="no parameters"),
        pytest.param(["Negotiate", 'Digest realm="x"'], [], id="other schemes"),
        pytest.param(['Digest realm="x", Basic realm="y"'], [("basic", {"realm": "y"})], id="behind another"),
    ],
)
def test_challenges(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, found.parameters) for found in read(headers)] == expected


@pytest.mark.parametrize(
    "header", ["", ",", "Bearer realm=", 'Bearer realm="x', "Basic ,,,", "Bearer =", "\0"]
)
def test_broken_headers_do_no_harm(header: str) -> None:
    assert all(found.scheme in ("basic", "bearer") for found in read([header]))
