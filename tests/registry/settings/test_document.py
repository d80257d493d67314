from __future__ import annotations

from pathlib import Path

import pytest

from registry.settings.document import MAX_BYTES, dotted, parse, read
from registry.settings.errors import SettingsInvalid, SettingsUnreadable


def _wrong(text: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        parse(text, "s.yaml")
    return [str(wrong) for wrong in caught.value.wrong]


def test_every_place_knows_its_line() -> None:
    document = parse("a:\n  b: 1\n  c: [x,\n    y]\n\nd: {e: 2}\n", "s.yaml")
    assert document.data == {"a": {"b": 1, "c": ["x", "y"]}, "d": {"e": 2}}
    places = [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1), ("d", "e"), ("d", "missing")]
    assert [document.where(place) for place in places] == [
        "s.yaml:1",
        "s.yaml:2",
        "s.yaml:3",
        "s.yaml:4",
        "s.yaml:6",
        "s.yaml:6",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null", "{}"])
def test_an_empty_file_says_nothing(text: str) -> None:
    assert parse(text, "s.yaml").data == {}


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "OFF", "2027-06-01"])
def test_words_stay_words(word: str) -> None:
    assert parse(f"a: {word}", "s.yaml").data == {"a": word}


@pytest.mark.parametrize(("word", "value"), [("true", True), ("False", False), ("~", None), ("5", 5)])
def test_other_values_are_what_yaml_says(word: str, value: object) -> None:
    assert parse(f"a: {word}", "s.yaml").data == {"a": value}


def test_anchors_work() -> None:
    assert parse("a: &x {b: 1}\nc: *x\n", "s.yaml").data == {"a": {"b": 1}, "c": {"b": 1}}


# text, what is said
BAD = [
    pytest.param("a: 1\nb: 2\na: 3\n", ["s.yaml:3: a: is here twice; first on line 1"], id="key twice"),
    pytest.param("a:\n  b: 1\n  b: 2\n", ["s.yaml:3: a.b: is here twice; first on line 2"], id="inner twice"),
    pytest.param(
        "- a\n", ["s.yaml:1: is not a mapping of keys; write as in server: {port: 5000}"], id="list"
    ),
    pytest.param(
        "5\n", ["s.yaml:1: is not a mapping of keys; write as in server: {port: 5000}"], id="number"
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_what_is_wrong_is_said_with_its_line(text: str, expected: list[str]) -> None:
    assert _wrong(text) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a: 1\n b: 2\n", 2, id="indentation"),
        pytest.param("a: [1\nb: 2\n", 2, id="open bracket"),
        pytest.param("a: 'x\n", 2, id="open quote"),
        pytest.param("a: *x\n", 1, id="unknown alias"),
        pytest.param("a: 1\n--- \nb: 2\n", 2, id="two documents"),
        pytest.param("[a, b]: 1\n", 1, id="a list as key"),
        pytest.param("a: !!python/object:os.system x\n", 1, id="a tag"),
        pytest.param("a: &a [*a]\n", 1, id="an alias of itself"),
    ],
)
def test_bad_yaml_is_said_with_its_line(text: str, line: int) -> None:
    (said,) = _wrong(text)
    assert said.startswith(f"s.yaml:{line}: is not YAML: ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("a: " + "[" * 50 + "]" * 50, id="deep and closed"),
        pytest.param(
            "a: &a [x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{b}: &{b} [{','.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
            ),
            id="aliases that multiply",
        ),
        pytest.param("a: \0\n", id="a control character"),
    ],
)
def test_hostile_yaml_is_refused(text: str) -> None:
    assert len(_wrong(text)) == 1


def test_what_cannot_be_read_is_told_apart(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe4\n")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, why in [
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "directory"),
        (latin, "UTF-8"),
        (large, "larger"),
    ]:
        with pytest.raises(SettingsUnreadable, match=why):
            read(path)


def test_a_place_is_shown_dotted() -> None:
    assert dotted(("admission", "rules", 0, "mode")) == "admission.rules[0].mode"
