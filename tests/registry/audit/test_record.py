from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from registry.audit.record import Origin, Record, silent

AT = datetime(2026, 11, 30, 1, 2, 3, 4567, tzinfo=UTC)


def test_a_line_has_what_is_there() -> None:
    record = Record(
        "push",
        "accepted",
        "user:alice",
        Origin("192.0.2.1", "r1"),
        repository="team/a",
        reference="v1",
        digest="sha256:1",
        pin="sha256:2",
        replaced=("v1@sha256:0",),
    )
    assert json.loads(record.line(AT)) == {
        "time": "2026-11-30T01:02:03.004Z",
        "event": "push",
        "verdict": "accepted",
        "who": "user:alice",
        "address": "192.0.2.1",
        "request": "r1",
        "repository": "team/a",
        "reference": "v1",
        "digest": "sha256:1",
        "pin": "sha256:2",
        "replaced": ["v1@sha256:0"],
    }
    there = AT.astimezone(timezone(timedelta(hours=5)))
    assert record.line(there) == record.line(AT)
    silent(record)


@given(st.text(), st.text(), st.text())
def test_whatever_is_said_is_one_line_of_ascii(who: str, reference: str, asked: str) -> None:
    line = Record("denied", "denied", who, reference=reference, asked=asked).line(AT)
    assert line.isascii() and line.isprintable()
    said = json.loads(line)
    assert (said.get("who", ""), said.get("reference", "")) == (who, reference)
