import pytest

from registry.access.rights import Right
from registry.access.scopes import LISTING, MAX, Scope, parse, wanted

PULL, PUSH, DELETE = Right.PULL, Right.PUSH, Right.DELETE


@pytest.mark.parametrize(
    ("text", "repository", "rights"),
    [
        ("repository:a/b:pull", "a/b", {PULL}),
        ("repository:a/b:pull,push", "a/b", {PULL, PUSH}),
        ("repository:a:push,pull,delete", "a", {PULL, PUSH, DELETE}),
        ("repository:a:*", "a", {PULL, PUSH, DELETE}),
        ("repository:a:pull,unheard-of", "a", {PULL}),
    ],
)
def test_one_scope(text: str, repository: str, rights: set[Right]) -> None:
    assert parse([text]) == {Scope(repository, frozenset(rights))}


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "repository", "repository:a", "repository:a:", "repository::pull", "repository:A:pull",
        "repository:a/../b:pull", "repository:a:admin", "repository:**:pull", "repository(plugin):a:pull",
        "registry:catalog:pull", "Repository:a:pull", "repository:host:5000/a:pull", "repository:a:PULL",
        "repository:" + "a" * 256 + ":pull",
    ],
)  # fmt: skip
def test_what_means_nothing_is_left_out(text: str) -> None:
    assert parse([text, "repository:b:pull"]) == {Scope("b", frozenset({PULL}))}


def test_several_are_words_or_texts_and_add_up() -> None:
    together = parse(["repository:a:pull repository:b:push", "repository:a:push", "registry:catalog:*"])
    assert together == {Scope("a", frozenset({PULL, PUSH})), Scope("b", frozenset({PUSH})), LISTING}


def test_there_is_an_end_to_them() -> None:
    assert len(parse(f"repository:a{at}:pull" for at in range(10_000))) == MAX


@pytest.mark.parametrize("text", ["repository:a/b:pull,push", "repository:a:delete", "registry:catalog:*"])
def test_as_they_are_written(text: str) -> None:
    (scope,) = parse([text])
    assert str(scope) == text
    kind, name, actions = scope.kind_name_actions
    assert f"{kind}:{name}:{','.join(actions)}" == text


def test_what_to_ask_for() -> None:
    assert wanted(PULL, "a/b") == "repository:a/b:pull"
    assert wanted(PUSH, "a/b") == "repository:a/b:pull,push"
    assert wanted(DELETE, "a/b") == "repository:a/b:delete"
