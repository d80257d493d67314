import re
from dataclasses import fields

from registry.apply.options import ISTIO, KINDS, OPTIONS, WHY_NOT, OptionInvalid, Options
from tests.real.tools import ROOT
from tests.registry.apply import cases


def test_the_table_and_the_fields_are_the_same() -> None:
    assert [option.field for option in OPTIONS.values()] != []
    assert {option.field for option in OPTIONS.values()} == {field.name for field in fields(Options)}
    for name, option in OPTIONS.items():
        assert name == option.name
        assert option.kinds and set(option.kinds) <= set(KINDS)
        assert option.help.endswith(".")


def test_advice_is_given_where_an_option_is_not() -> None:
    for kind, name in WHY_NOT:
        assert kind in KINDS and kind not in OPTIONS[name].kinds


def test_the_cases_give_every_option() -> None:
    unused = {kind: options for kind, options in cases.unused().items() if options}
    assert unused == {"envoy": {"local"}}


def test_an_error_reads_as_a_sentence() -> None:
    assert str(OptionInvalid("name", "is wrong.", "Mend it.")) == "name is wrong. Mend it."


def test_the_page_has_every_option_and_who_has_it() -> None:
    page = (ROOT / "docs" / "apply.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)`( …)? \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(OPTIONS)
    for name, repeated, *fields_of in rows:
        option = OPTIONS[name]
        kinds = (ISTIO, ("envoyextensionpolicy",), ("envoy",))
        assert [said != "–" for said in fields_of] == [set(kind) <= set(option.kinds) for kind in kinds], name
        assert bool(repeated) is option.repeated, name
