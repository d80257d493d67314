from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from registry.cli import plugin_config
from registry.console.failure import Failure

YAML = """
text: a
date: 2026-01-02
time: 2026-01-02T03:04:05Z
on: yes
1: {a: &x [1, 2.5, null]}
again: *x
fox: 🦊
"""
READ = {
    "text": "a",
    "date": "2026-01-02",
    "time": "2026-01-02T03:04:05Z",
    "true": True,
    "1": {"a": [1, 2.5, None]},
    "again": [1, 2.5, None],
    "fox": "🦊",
}


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [(YAML, READ), (json.dumps(READ), READ), ("[1]", [1]), ("", None), ("a", "a")],
    ids=["yaml", "json", "list", "nothing", "text"],
)
def test_yaml_and_json_are_read(file: Path, text: str, value: object) -> None:
    file.write_text(text)
    assert json.loads(plugin_config.read(str(file))) == value


@pytest.mark.parametrize("text", ["key=value\n", "12\n", "", "a: b: c", "{", "\t- x", "yes"])
def test_any_text_will_do_for_envoy(file: Path, text: str) -> None:
    file.write_text(text)
    assert json.loads(plugin_config.read(str(file), or_text=True)) == text


def test_an_object_stays_one_for_envoy(file: Path) -> None:
    file.write_text("a: 1\n")
    assert plugin_config.read(str(file), or_text=True) == '{"a": 1}'


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1")))
    assert plugin_config.read("-") == '{"a": 1}'
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Failure, match="standard input is closed"):
        plugin_config.read("-")


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: b: c", "line 1: neither YAML nor JSON"),
        (b"a: [1\n", "neither YAML nor JSON"),
        (b"\xff", "is not UTF-8"),
        (b"#" + b"x" * plugin_config.MAX_BYTES, "is larger than"),
        (BOMB.encode(), "is larger than"),
        (b"a: &a [*a]", "holds what JSON cannot"),
        (b"a: !!binary aGk=", "holds what JSON cannot"),
        (b"a: .nan", "holds what JSON cannot"),
        (b"? [a]\n: b", "line 1: neither YAML nor JSON: a name is no text"),
        (b"b: 1\na: 1\na: 2", "line 3: neither YAML nor JSON: the name a is there twice"),
        (b"true: 1\nyes: 2", "the name true is there twice"),
        (b"a: !!python/object/apply:os.getpid []", "neither YAML nor JSON"),
        (b"[" * 100_000, "neither YAML nor JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_cannot_be_read(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(Failure, match=said):
        plugin_config.read(str(file))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        plugin_config.read(str(tmp_path / "none"))
    with pytest.raises(Failure, match="directory"):
        plugin_config.read(str(tmp_path))
