from __future__ import annotations

import pytest

from storage.gc.retention import DAY, Expiry, Keep, matches, validated

NOW = 1000 * DAY
# Newest first: tag and age in days.
TAGS = [("v2", 0.5), ("ci-5", 2), ("ci-4", 3), ("v1", 4), ("ci-3", 10), ("ci-2", 40), ("ci-1", 50)]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        pytest.param(Keep(), [], id="no-rule-for-tags"),
        pytest.param(Keep(tags=("v*",)), [], id="patterns-alone"),
        pytest.param(Keep(last=2), ["ci-4", "v1", "ci-3", "ci-2", "ci-1"], id="last"),
        pytest.param(Keep(last=0), ["ci-5", "ci-4", "v1", "ci-3", "ci-2", "ci-1"], id="none-but-the-young"),
        pytest.param(Keep(last=100), [], id="more-than-there-are"),
        pytest.param(Keep(days=30), ["ci-2", "ci-1"], id="days"),
        pytest.param(Keep(days=0), ["ci-5", "ci-4", "v1", "ci-3", "ci-2", "ci-1"], id="no-days"),
        pytest.param(Keep(last=1, days=3), ["v1", "ci-3", "ci-2", "ci-1"], id="both-must-be-over"),
        pytest.param(Keep(last=6, days=3), ["ci-1"], id="last-counts-more"),
        pytest.param(Keep(last=2, tags=("v*",)), ["ci-3", "ci-2", "ci-1"], id="patterns-do-not-count"),
        pytest.param(Keep(last=0, tags=("ci-*", "v2")), ["v1"], id="two-patterns"),
        pytest.param(Keep(last=0, tags=("*",)), [], id="all"),
    ],
)
def test_which_tags_go(keep: Keep, gone: list[str]) -> None:
    expiry = Expiry(keep, NOW - keep.least_age(DAY))
    assert [tag for tag, age in TAGS if expiry.goes(tag, NOW - age * DAY)] == gone


def test_a_manifest_is_at_least_as_old_as_the_grace_and_the_days() -> None:
    assert [Keep(days=days).least_age(DAY) / DAY for days in (None, 0, 1, 30)] == [1, 1, 1, 30]


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("v1", ["v1"], ["v10", "av1", "V1"]),
        ("v*", ["v", "v1", "v1.2-rc"], ["rv1"]),
        ("*-rc.*", ["v1-rc.1", "-rc."], ["v1-rc", "v1-rcx1"]),
        ("a.c", ["a.c"], ["abc"]),
        ("***", ["", "anything"], []),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*b", ["abb", "acbcb"], ["ab", "abc"]),
    ],
)
def test_patterns_of_tags(pattern: str, names: list[str], others: list[str]) -> None:
    assert validated(pattern) == pattern
    assert all(matches(pattern, name) for name in names)
    assert not any(matches(pattern, name) for name in others)


@pytest.mark.parametrize("pattern", ["", "a/b", "a b", "[ab]", "x" * 129])
def test_what_is_no_pattern_of_tags(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        validated(pattern)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("*a" * 60 + "b", "a" * 128)
