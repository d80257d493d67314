import re

import pytest

from registry.api.warnings import warning_headers


@pytest.mark.parametrize(
    ("warning", "header"),
    [
        pytest.param("does not load", '299 - "does not load"', id="plain"),
        pytest.param('invalid "type"', "299 - \"invalid 'type'\"", id="quotes"),
        pytest.param("a\\b", '299 - "a/b"', id="a backslash"),
        pytest.param("a\r\nSet-Cookie: b", '299 - "a??Set-Cookie: b"', id="a new line"),
        pytest.param("größer\x00\x7f", '299 - "gr??er??"', id="what is not printable ASCII"),
        pytest.param("\ud800", '299 - "?"', id="half a character"),
    ],
)
def test_a_warning_is_one_safe_line(warning: str, header: str) -> None:
    assert list(warning_headers([warning])) == [header]


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param([5000], id="one too long"),
        pytest.param([100] * 100, id="too many"),
        pytest.param([4000, 4000], id="the second is cut"),
        pytest.param([4088, 10], id="no room for a second"),
        pytest.param([4087, 10], id="no room but for an empty one"),
    ],
)
def test_all_together_keep_within_4096_bytes(lengths: list[int]) -> None:
    found = list(warning_headers("w" * length for length in lengths))
    assert 4000 < sum(map(len, found)) <= 4096
    assert all(re.fullmatch('299 - "w+"', value) for value in found)


def test_nothing_to_warn_of() -> None:
    assert list(warning_headers([])) == []
