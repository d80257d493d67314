from __future__ import annotations

import json
from typing import Any

import pytest

from registry.wasm.facts import Facts
from tests.registry.wasm import binary
from tests.registry.wasm.test_survey import said


@pytest.mark.parametrize("name", Facts.__slots__)
def test_facts_come_back_as_they_were_and_whole(name: str) -> None:
    found = said(
        "proxy_get_property", "x.y", exports=("proxy_on_tick",), tail=binary.producers(language=[("Go", "1")])
    )
    document = json.loads(json.dumps(found.to_json()))
    assert Facts.from_json(document) == found
    del document[name]
    with pytest.raises(KeyError):
        Facts.from_json(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": "many"},
        {"imports": None},
        {"phases": 7},
        {"reads": "headers"},
        {"memories": [{}]},
        {"memories": [{"pages": "x", "most": None}]},
        {"memories": 1},
    ],
    ids=str,
)
def test_other_facts_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Facts.from_json(said().to_json() | changes)
