"""Scopes: what a token is for (distribution, "Token Scope"): `repository:team-a/plugin:pull,push`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry.access.rights import Right
from storage import names
from storage.errors import NameInvalid

REPOSITORY = "repository"
CATALOG = "registry:catalog:*"
"""What a listing of repositories asks for; it shows what may be pulled."""

MAX = 100
"""Scopes of one request at most."""

_ACTIONS = {right.value: right for right in (Right.PULL, Right.PUSH, Right.DELETE)}
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """Rights in a repository, or ("" and pull) in the listing of repositories."""

    repository: str
    rights: frozenset[Right]

    def __str__(self) -> str:
        if not self.repository:
            return CATALOG
        actions = ",".join(action for action, right in _ACTIONS.items() if right in self.rights)
        return f"{REPOSITORY}:{self.repository}:{actions}"

    @property
    def kind_name_actions(self) -> tuple[str, str, list[str]]:
        """As a token writes it."""
        kind, _, rest = str(self).partition(":")
        name, _, actions = rest.rpartition(":")
        return kind, name, actions.split(",")


LISTING = Scope("", frozenset((Right.PULL,)))


def parse(texts: Iterable[str]) -> frozenset[Scope]:
    """The scopes in the texts, each of which may hold several with a space between.

    What means nothing here is left out, for clients ask for more than they need; so are scopes beyond MAX.
    """
    found: dict[str, frozenset[Right]] = {}
    for one in [one for text in texts for one in text.split(" ")][:MAX]:
        scope = _parsed(one)
        if scope is not None:
            found[scope.repository] = found.get(scope.repository, frozenset()) | scope.rights
    return frozenset(Scope(name, rights) for name, rights in found.items())


def wanted(right: Right, repository: str) -> str:
    """The scope to ask a token for; who pushes also asks what is there."""
    rights = frozenset((Right.PULL, right)) if right is Right.PUSH else frozenset((right,))
    return str(Scope(repository, rights))


def _parsed(text: str) -> Scope | None:
    if text == CATALOG:
        return LISTING
    kind, _, rest = text.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind != REPOSITORY:
        return None
    try:
        names.repository(name)
    except NameInvalid:
        return None
    asked = actions.split(",")
    rights = frozenset(_ACTIONS.values() if _ALL in asked else (_ACTIONS[a] for a in asked if a in _ACTIONS))
    return Scope(name, rights) if rights else None
