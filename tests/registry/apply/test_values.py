import json

import pytest

from registry.apply import values
from tests.registry.apply.cases import CONFIG


@pytest.mark.parametrize("value", [CONFIG, [], {}, "a", 1, 1.5, True, None, 2**63 - 1, -(2**63)], ids=repr)
def test_what_everybody_can_read(value: object) -> None:
    assert values.parse(json.dumps(value)) == value
    assert json.loads(values.compact(value)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1, "a": 2}', "a field twice"),
        ("NaN", "a number that is none"),
        ('{"a": [Infinity]}', "a number that is none"),
        ("1e999", "a number that is none"),
        (str(2**63), "more than 64 bits"),
        ('"\\ud800"', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
        ("[" * 100 + "]" * 100, "nested deeper than 64"),
        ("[" * 200_000, "nested too deeply"),
        ('"' + "x" * values.MAX_TEXT + '"', "larger than"),
    ],
    ids=lambda value: value[:20],
)
def test_what_somebody_cannot_read(text: str, said: str) -> None:
    with pytest.raises(values.NotAValue, match=said):
        values.parse(text)


def test_in_one_line() -> None:
    assert values.compact({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'
