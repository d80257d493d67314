from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic_core import PydanticUndefined

from registry.settings.document import dotted
from registry.settings.keys import entries, leaves, section, variable
from registry.settings.model import AdmissionRule, Settings
from registry.settings.server import Server
from registry.settings.show import plain

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.+?) \| (.*?) \|$", re.MULTILINE)


def test_the_tree_of_keys() -> None:
    found = {dotted(place) for place, _ in leaves()}
    assert {"server.port", "storage.cache.memory", "admission.rules"} <= found
    assert "admission.rules.mode" not in found
    assert section(()) is Settings
    assert section(("server",)) is Server
    assert section(("admission", "rules", 0)) is AdmissionRule
    assert section(("server", "port")) is None
    assert section(("nothing", "port")) is None
    assert variable(("server", "port")) == "SIDECARGO_SERVER__PORT"


def test_the_page_has_every_key_its_default_and_its_variable() -> None:
    expected = {}
    for place, field in leaves():
        expected[dotted(place)] = (plain(field.default), variable(place))
        if below := entries(field):
            for name, inner in below.model_fields.items():
                default = None if inner.default is PydanticUndefined else plain(inner.default)
                expected[f"{dotted(place)}[].{name}"] = (default, "")
    rows = {key: (default, name.strip("`")) for key, default, _, name in ROW.findall(PAGE.read_text())}
    assert rows.keys() == expected.keys()
    for key, (default, name) in expected.items():
        said, variable_said = rows[key]
        written = yaml.safe_load(said.strip("`")) if said.startswith("`") else None
        assert (written, variable_said) == (default, name), key
