from __future__ import annotations

import json
from typing import Any

import pytest

from registry.access.claims import LONGEST, MOST, Naming, Requirement, Template, TooManyGroups, values

GITHUB = {"sub": "repo:octo/app:ref:refs/heads/main", "repository": "octo/app", "environment": "prod env"}
KUBERNETES = {
    "sub": "system:serviceaccount:istio-system:mesh",
    "kubernetes.io": {"namespace": "istio-system", "serviceaccount": {"name": "mesh"}},
}
KEYCLOAK = {
    "preferred_username": "zoë",
    "groups": ["dev", "Domain Admins", 7, "", None, ["x"]],
    "realm_access": {"roles": ["a", "b"]},
    "https://example.com/roles": ["c"],
}


def texts(template: str, claims: dict[str, Any]) -> list[str]:
    return sorted(Template.parse(template).texts(claims))


@pytest.mark.parametrize(
    ("template", "claims", "expected"),
    [
        ("repo:{repository}", GITHUB, ["repo:octo/app"]),
        ("{sub}", GITHUB, ["repo:octo/app:ref:refs/heads/main"]),
        ("env:{repository}:{environment}", GITHUB, ["env:octo/app:prod%20env"]),
        ("sa:{sub}", KUBERNETES, ["sa:system:serviceaccount:istio-system:mesh"]),
        ("ns:{kubernetes.io.namespace}", KUBERNETES, ["ns:istio-system"]),
        ("{kubernetes.io.serviceaccount.name}", KUBERNETES, ["mesh"]),
        ("{preferred_username}", KEYCLOAK, ["zo%C3%AB"]),
        ("sso:{groups}", KEYCLOAK, ["sso:7", "sso:Domain%20Admins", "sso:dev"]),
        ("{realm_access.roles}", KEYCLOAK, ["a", "b"]),
        ("{https://example.com/roles}", KEYCLOAK, ["c"]),
        ("{https://example.com/roles}/{realm_access.roles}", KEYCLOAK, ["c/a", "c/b"]),
        ("staff", {}, ["staff"]),
        ("x:{missing}", GITHUB, []),
        ("x:{repository.owner}", GITHUB, []),
        ("{realm_access}", KEYCLOAK, []),
        ("{long}", {"long": "a" * LONGEST}, ["a" * LONGEST]),
        ("{long}", {"long": "a" * (LONGEST + 1)}, []),
    ],
)  # fmt: skip
def test_texts(template: str, claims: dict[str, Any], expected: list[str]) -> None:
    assert texts(template, claims) == expected
    assert str(Template.parse(template)) == template


@pytest.mark.parametrize("border", [":", "/", "-", "a", "::"])
def test_where_a_claim_ends_is_never_in_doubt(border: str) -> None:
    template = f"{{one}}{border}{{two}}"
    parts = ("x", border, f"x{border}", f"{border}x", f"x{border}x", "%", "%3A", "%2D")
    found = [texts(template, {"one": one, "two": two})[0] for one in parts for two in parts]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "{a", "a}", "{a}{b}", "a b", "{a b}", "a\n", "{a\n}", "é", "{{a}}", "%20{a}", "%20"],
)  # fmt: skip
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        Template.parse(text)


def test_a_name_is_one() -> None:
    naming = Naming(Template.parse("{groups}"))
    assert naming.user_of({"groups": ["a"]}) == "a"
    assert naming.user_of({"groups": ["a", "b"]}) is None
    assert naming.user_of({}) is None
    assert Naming(Template.parse("{sub}")).user_of({"sub": "\ud800"}) == "%ED%A0%80"


def test_groups_of_all_templates_and_never_too_many() -> None:
    naming = Naming(
        Template.parse("{sub}"), (Template.parse("g:{groups}"), Template.parse("repo:{repository}"))
    )
    assert naming.groups_of(GITHUB | {"groups": ["a", "a"]}) == {"g:a", "repo:octo/app"}
    many = [str(number) for number in range(MOST + 1)]
    assert len(naming.groups_of({"groups": many[:MOST]})) == MOST
    for claims in ({"groups": many}, {"groups": many[:MOST], "repository": "octo/app"}):
        with pytest.raises(TooManyGroups):
            naming.groups_of(claims)
    with pytest.raises(TooManyGroups):
        texts("{a}:{b}", {"a": many[:40], "b": many[:40]})


def test_an_address_that_is_not_verified_is_nobody_s() -> None:
    alice = {"email": "alice@example.com"}
    assert (
        values(alice, "email") == values(alice | {"email_verified": True}, "email") == ["alice@example.com"]
    )
    for said in (False, "false"):
        assert values(alice | {"email_verified": said}, "email") == []


@pytest.mark.parametrize(
    ("path", "patterns", "holds"),
    [
        ("repository", ("octo/app",), True),
        ("repository", ("octo/*",), True),
        ("repository", ("x", "*"), True),
        ("repository", ("octo/ap",), False),
        ("repository", ("cto/app",), False),
        ("repository", ("octo.app",), False),
        ("missing", ("*",), False),
        ("sub", ("repo:octo/*:ref:refs/heads/main",), True),
    ],
)
def test_requirements(path: str, patterns: tuple[str, ...], holds: bool) -> None:
    assert Requirement(path, patterns).holds(GITHUB) is holds


def test_what_must_be_of_a_list_is_one_of_its_values() -> None:
    assert Requirement("groups", ("dev",)).holds(KEYCLOAK)
    assert not Requirement("groups", ("ops",)).holds(KEYCLOAK)
    assert Requirement("email_verified", ("true",)).holds(json.loads('{"email_verified": true}'))
