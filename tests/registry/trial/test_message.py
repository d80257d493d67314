from __future__ import annotations

import pytest

from registry.trial.message import Changes, Headers, Seen, changes


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ((), (), Changes()),
        ((("a", "1"),), (("A", "1"),), Changes()),
        ((), (("A", "1"),), Changes(added=(("a", "1"),))),
        ((("a", "1"),), (("a", "2"),), Changes(changed=(("a", "2"),))),
        ((("A", "1"),), (), Changes(removed=("a",))),
        ((("a", "1"),), (("a", "1"), ("a", "2")), Changes(changed=(("a", "1, 2"),))),
        ((("a", "1"), ("a", "2")), (("a", "1"), ("a", "2")), Changes()),
        ((("x-envoy-upstream-service-time", "1"),), (("x-envoy-upstream-service-time", "9"),), Changes()),
        ((("x-envoy-upstream-service-time", "1"),), (), Changes(removed=("x-envoy-upstream-service-time",))),
        ((("Connection", "close"),), (("Transfer-Encoding", "chunked"),), Changes()),
    ],
    ids=[
        "nothing",
        "another case",
        "added",
        "changed",
        "removed",
        "one more of a name",
        "two of a name",
        "a measured time",
        "a measured time that is taken away",
        "what is of the connection",
    ],
)
def test_changes(before: Headers, after: Headers, changed: Changes) -> None:
    assert changes(before, after) == changed
    assert bool(changed) is (changed != Changes())


def test_a_request_has_its_parts_as_headers() -> None:
    seen = Seen("GET", "/a", (("Host", "b"), ("c", "d")))
    assert seen.named() == ((":method", "GET"), (":path", "/a"), (":authority", "b"), ("c", "d"))
