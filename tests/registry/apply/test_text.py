import pytest
import yaml

from registry.apply import text
from tests.registry.apply.cases import CONFIG, MISTAKABLE


def test_what_is_written_is_read() -> None:
    assert yaml.safe_load(text.document(CONFIG)) == CONFIG


@pytest.mark.parametrize("value", MISTAKABLE, ids=repr)
def test_strings_stay_strings(value: str) -> None:
    said = text.document({"a": value, "b": 1})
    assert yaml.safe_load(said) == {"a": value, "b": 1}
    assert len(said.splitlines()) == 2, "no string is folded"


@pytest.mark.parametrize(
    "value", ["1e3", "0o17", "1_000", "y", "N", "12:30:45", "0" * 64, "f" * 64, "-", "@a"]
)
def test_what_somebody_may_mistake_is_quoted(value: str) -> None:
    assert text.document({"a": value}) == f"a: '{value}'\n"


@pytest.mark.parametrize("value", ["a", "envoy.wasm.runtime.v8", "oci://a/b@sha256:0", "/a b"])
def test_what_nobody_mistakes_is_plain(value: str) -> None:
    assert text.document({"a": value}) == f"a: {value}\n"


@pytest.mark.parametrize(("value", "said"), [("\x85", r"\x85"), ("\u2028", r"\u2028"), ("\n", r"\n")])
def test_escapes_that_envoy_reads(value: str, said: str) -> None:
    assert text.document({"a": value}) == f'a: "{said}"\n'


def test_order_comments_and_no_anchors() -> None:
    twice = {"x": ["1"]}
    said = text.document({"b": twice, "a": twice}, ["one", "two"])
    assert said == "# one\n# two\nb:\n  x:\n  - '1'\na:\n  x:\n  - '1'\n"
