from __future__ import annotations

import json
from dataclasses import replace

import pytest

from registry.signing.admission import ADMITTED, Admission
from storage.digest import Digest

DIGEST = Digest.of(b"an image")
SAID = Admission(
    by="alice",
    at="2026-11-29T20:00:00Z",
    mode="enforce",
    consumers=("istio", "envoy"),
    envoys=("1.36", "1.40"),
    rules=5,
    findings=Digest.of(b"findings"),
    module=Digest.of(b"module"),
)


def test_the_statement() -> None:
    assert json.loads(SAID.statement("here/team/wasm", DIGEST)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "here/team/wasm", "digest": {"sha256": DIGEST.hex}, "annotations": {}}],
        "predicateType": ADMITTED,
        "predicate": {
            "pushed": {"by": "alice", "at": "2026-11-29T20:00:00Z"},
            "policy": {"mode": "enforce", "consumers": ["istio", "envoy"], "envoys": ["1.36", "1.40"]},
            "findings": {"rules": 5, "digest": {"sha256": Digest.of(b"findings").hex}},
            "module": {"name": "plugin.wasm", "digest": {"sha256": Digest.of(b"module").hex}},
        },
    }


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(SAID, by="bob", at="2027-01-01T00:00:00Z"), True),
        (replace(SAID, mode="warn"), False),
        (replace(SAID, envoys=("1.40",)), False),
        (replace(SAID, consumers=("istio",)), False),
        (replace(SAID, findings=Digest.of(b"others")), False),
        (replace(SAID, rules=6), False),
        (replace(SAID, module=None), False),
    ],
)
def test_what_need_not_be_said_again(other: Admission, same: bool) -> None:
    assert SAID.is_said_by(other.predicate()) is same


def test_any_predicate_may_be_met() -> None:
    assert not SAID.is_said_by({})
    assert not SAID.is_said_by({"policy": None, "findings": 1, "module": []})
