from __future__ import annotations

import pytest

from registry.patterns import MAX_LENGTH, matches, validated

# pattern, names that it names, names that it does not
TABLE = [
    pytest.param("a", ["a"], ["b", "aa", "a/b", "b/a"], id="a name"),
    pytest.param("a/b", ["a/b"], ["a", "a/b/c", "x/a/b"], id="two segments"),
    pytest.param("*", ["a", "a-b.c_d"], ["a/b"], id="any segment"),
    pytest.param("team-*", ["team-", "team-a"], ["team", "team-a/b", "x-team-a"], id="a beginning"),
    pytest.param("*-dev", ["a-dev"], ["a-dev/b", "a-devx"], id="an end"),
    pytest.param("a*b*c", ["abc", "axbyc"], ["ab", "acb"], id="two stars"),
    pytest.param("a/*", ["a/b"], ["a", "a/b/c"], id="any child"),
    pytest.param("a/*/c", ["a/b/c"], ["a/c", "a/b/b/c"], id="a segment between"),
    pytest.param("**", ["a", "a/b", "a/b/c"], [], id="everything"),
    pytest.param("a/**", ["a", "a/b", "a/b/c"], ["ab", "b/a"], id="a and all below"),
    pytest.param("**/a", ["a", "b/a", "c/b/a"], ["a/b", "ba"], id="at any depth"),
    pytest.param("a/**/c", ["a/c", "a/b/c", "a/b/b/c"], ["a", "c", "ac"], id="any depth between"),
    pytest.param("a/**/*", ["a/b", "a/b/c"], ["a"], id="all below, not itself"),
    pytest.param("v1.0", ["v1.0"], ["v1x0"], id="a dot is a dot"),
    pytest.param("V*", ["V1"], ["v1"], id="tags have capitals"),
]


@pytest.mark.parametrize(("pattern", "named", "others"), TABLE)
def test_a_pattern_names_what_it_says(pattern: str, named: list[str], others: list[str]) -> None:
    assert validated(pattern) == pattern
    assert [name for name in named if not matches(pattern, name)] == []
    assert [name for name in others if matches(pattern, name)] == []


@pytest.mark.parametrize(
    "pattern", ["", "/a", "a/", "a//b", "a**", "**a", "***", "a/**b", "a b", "a?", "[a]", "a\n", "é"]
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"team-a/\*"):
        validated(pattern)


def test_a_pattern_has_a_length() -> None:
    with pytest.raises(ValueError, match="255"):
        validated("a" * (MAX_LENGTH + 1))
