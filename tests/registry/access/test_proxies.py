from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.access.proxies import Proxies

PROXIES = Proxies(["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7/32"])
CLIENT, OTHER = "203.0.113.9", "198.51.100.4"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (CLIENT, [], CLIENT),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [CLIENT], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("2001:db8:1::5", ["2001:db8:9::1"], "2001:db8:9::1"),
        ("10.0.0.1", [f"{CLIENT}, 10.0.0.2"], CLIENT),
        ("10.0.0.1", [CLIENT, "10.0.0.2, 192.0.2.7"], CLIENT),
        ("10.0.0.1", [f"{CLIENT}:4711"], CLIENT),
        ("10.0.0.1", ["[2001:db8:9::1]:4711"], "2001:db8:9::1"),
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),
        # Written by the client, before what the proxy has added.
        ("10.0.0.1", [f"127.0.0.1, {CLIENT}"], CLIENT),
        ("10.0.0.1", ["127.0.0.1", f"10.9.9.9, {CLIENT}"], CLIENT),
        # Of a peer that is not trusted nothing counts.
        (CLIENT, [OTHER], CLIENT),
        ("192.0.2.8", [OTHER], "192.0.2.8"),
        # What is no address ends it.
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [f"{OTHER}, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [",,"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2\n10.0.0.3"], "10.0.0.1"),
        ("", [CLIENT], ""),
    ],
)
def test_whose_client_it_is(peer: str, forwarded: list[str], client: str) -> None:
    assert PROXIES.client(peer, forwarded) == client


def test_without_any_nobody_is_trusted() -> None:
    assert Proxies().client("127.0.0.1", [CLIENT]) == "127.0.0.1"
    assert not Proxies().trusts("127.0.0.1")


HOP = st.one_of(
    st.sampled_from(["10.0.0.1", "127.0.0.1", CLIENT, "unknown", "", "::1"]), st.text(max_size=20)
)


@given(st.lists(HOP, max_size=5).map(", ".join))
def test_whatever_a_client_writes_does_not_hide_it(said: str) -> None:
    assert PROXIES.client("10.0.0.1", [f"{said}, {CLIENT}"]) == CLIENT
    assert PROXIES.client("10.0.0.1", [said, CLIENT]) == CLIENT
