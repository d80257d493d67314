from itertools import permutations

import pytest

from registry.access.principal import Principal
from registry.access.rights import Right
from registry.access.rules import Rule, Rules
from registry.access.scopes import LISTING, Scope, parse

FROM_AFAR = {
    Right.OPEN: True,
    Right.PULL: True,
    Right.PUSH: True,
    Right.DELETE: False,
    Right.ADMIN: False,
}
HERE, AFAR = Principal("", "127.0.0.1"), Principal("", "192.0.2.7")


def rule(repositories: str, who: str, may: str) -> Rule:
    return Rule(repositories, frozenset(who.split()), frozenset(map(Right, may.split())))


def user(name: str, *groups: str, scopes: str | None = None) -> Principal:
    limits = None if scopes is None else parse([scopes])
    return Principal(f"user:{name}", "127.0.0.1", frozenset(groups), limits)


GIVEN = (
    rule("team-a/**", "user:alice group:ci", "pull push"),
    rule("team-a/*/public", "anonymous", "pull"),
    rule("**", "robot:scrape", "admin"),
    rule("**", "authenticated", "pull"),
    rule("team-a/x", "user:alice", "delete"),
)
SCRAPE = Principal("robot:scrape", "")


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("repository", ["acme/wasm", None])
def test_without_rules(right: Right, repository: str | None) -> None:
    rules = Rules()
    assert not rules.given
    assert rules.allow(HERE, right, repository)
    assert rules.allow(AFAR, right, repository) is FROM_AFAR[right]
    assert rules.allow(Principal("", ""), right, repository) is FROM_AFAR[right]
    assert rules.all_may(right, "acme/wasm") is FROM_AFAR[right]
    assert rules.may_list(AFAR)


@pytest.mark.parametrize(
    ("principal", "right", "repository", "allowed"),
    [
        (user("alice"), Right.PUSH, "team-a", True),
        (user("alice"), Right.PUSH, "team-a/b/c", True),
        (user("alice"), Right.PUSH, "team-b", False),
        (user("alice"), Right.PUSH, "team-ab", False),
        (user("alice"), Right.DELETE, "team-a/x", True),
        (user("alice"), Right.DELETE, "team-a/y", False),
        (user("alice"), Right.ADMIN, None, False),
        (user("bob"), Right.PUSH, "team-a", False),
        (user("bob", "ci"), Right.PUSH, "team-a", True),
        (user("bob", "alice"), Right.PUSH, "team-a", False),
        (user("bob"), Right.PULL, "anything", True),
        (user("bob"), Right.PULL, None, True),
        (Principal("robot:alice", ""), Right.PUSH, "team-a", False),
        (HERE, Right.PULL, "team-a/x/public", True),
        (HERE, Right.PULL, "team-a/x/y/public", False),
        (HERE, Right.PUSH, "team-a/x/public", False),
        (HERE, Right.PULL, "team-a/x", False),
        (HERE, Right.ADMIN, None, False),
        (HERE, Right.DELETE, "team-a/x", False),
        (HERE, Right.OPEN, None, True),
        (SCRAPE, Right.ADMIN, None, True),
        (SCRAPE, Right.PUSH, "team-a", False),
    ],
)
def test_rules_only_give_and_in_any_order(
    principal: Principal, right: Right, repository: str | None, allowed: bool
) -> None:
    for order in list(permutations(GIVEN))[::17]:
        assert Rules(order).allow(principal, right, repository) is allowed


def test_what_belongs_to_no_repository_takes_a_rule_for_all() -> None:
    rules = Rules([rule("team-a/**", "user:alice", "admin"), rule("*/**", "user:bob", "admin")])
    assert not rules.allow(user("alice"), Right.ADMIN, None)
    assert not rules.allow(user("bob"), Right.ADMIN, None)


def test_a_token_takes_away_and_never_adds() -> None:
    rules = Rules(GIVEN)
    limited = user("alice", scopes="repository:team-a/x:pull repository:team-b:push")
    assert rules.allow(limited, Right.PULL, "team-a/x")
    assert not rules.allow(limited, Right.PUSH, "team-a/x")
    assert not rules.allow(limited, Right.PULL, "team-a/y")
    assert not rules.allow(limited, Right.PUSH, "team-b")
    assert not rules.allow(user("alice", scopes=""), Right.PULL, "team-a/x")
    assert rules.allow(user("alice", scopes=""), Right.PULL, "team-a/x/public"), "as everybody"
    assert Rules().allow(user("alice", scopes=""), Right.PULL, "team-a/x")
    assert rules.allow(user("alice", scopes=""), Right.OPEN, None)


def test_a_token_gets_exactly_what_there_is() -> None:
    rules = Rules(GIVEN)
    asked = parse(["repository:team-a/y:* repository:team-b:push registry:catalog:*"])
    assert rules.granted(user("alice"), asked) == {
        Scope("team-a/y", frozenset({Right.PULL, Right.PUSH})),
        LISTING,
    }
    public = parse(["repository:team-a/x/public:pull,push repository:team-a/x:pull"])
    assert rules.granted(HERE, public) == {Scope("team-a/x/public", frozenset({Right.PULL}))}
    assert Rules(GIVEN[:1]).granted(HERE, [LISTING]) == frozenset()


def test_listings() -> None:
    rules = Rules(GIVEN[:2])
    assert rules.may_list(HERE) and rules.may_list(user("alice"))
    assert not Rules(GIVEN[:1]).may_list(HERE)
    assert Rules(GIVEN[:1]).may_list(user("bob")), "it is empty"
    assert not Rules(GIVEN[:1]).may_list(user("alice", scopes="repository:team-a/x:pull"))
    limited = user("alice", scopes="repository:team-a/x:pull")
    assert rules.shows(limited, "team-a/x/public") and not rules.shows(limited, "team-a/x")
    listing = user("alice", scopes="registry:catalog:*")
    assert rules.may_list(listing)
    assert [name for name in ("team-a/x", "team-a/x/public", "b") if rules.shows(listing, name)] == [
        "team-a/x",
        "team-a/x/public",
    ]
    assert rules.all_may(Right.PULL, "team-a/x/public") and not rules.all_may(Right.PULL, "team-a/x")


def test_groups_that_matter() -> None:
    rules = Rules([*GIVEN, rule("**", "group:a:b", "pull"), rule("c", "group:c", "push")])
    assert {"a:b", "c"} <= rules.groups
    assert Rules().groups == frozenset()


def test_whether_a_login_gives_more() -> None:
    assert Rules(GIVEN).ask_for_a_login
    assert not Rules([rule("**", "anonymous", "pull push")]).ask_for_a_login
    assert not Rules().ask_for_a_login
