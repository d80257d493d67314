"""The rules: whether a principal has a right. Data in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from registry import patterns
from registry.access.principal import ANONYMOUS, GROUP, Principal
from registry.access.rights import Right
from registry.access.scopes import LISTING, Scope

_EVERYTHING = "**"
_ALWAYS = frozenset((Right.OPEN,))
_FOR_ALL = frozenset((Right.OPEN, Right.PULL, Right.PUSH))
_NOBODY = Principal("", "")


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives rights: whoever `who` names may do what `may` says in the repositories of a pattern."""

    repositories: str
    who: frozenset[str]
    may: frozenset[Right]


class Rules:
    """All rules of a registry; they only give, so their order has no meaning.

    Without any, everybody may pull and push, and delete and administer from the registry's own machine.
    What a token is limited to takes away from what the rules give its holder, and never adds to it; what
    everybody may do stays.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return bool(self._rules)

    @property
    def groups(self) -> frozenset[str]:
        """The groups that they give something."""
        named = (who for rule in self._rules for who in rule.who if who.startswith(GROUP))
        return frozenset(who.removeprefix(GROUP) for who in named)

    @property
    def ask_for_a_login(self) -> bool:
        """Whether they give somebody more than everybody has."""
        return any(rule.who - {ANONYMOUS} for rule in self._rules)

    def allow(self, principal: Principal, right: Right, repository: str | None) -> bool:
        """Whether the principal has the right in the repository; None: in what belongs to no repository.

        That takes a rule for all repositories (`**`).
        """
        if right in _ALWAYS:
            return True
        if principal.scopes is not None and not _covered(principal.scopes, right, repository):
            return self.allow(Principal("", principal.address), right, repository)
        if not self.given:
            return right in _FOR_ALL or principal.is_local
        known_as = principal.known_as
        return any(
            right in rule.may
            and not rule.who.isdisjoint(known_as)
            and (
                rule.repositories == _EVERYTHING
                if repository is None
                else patterns.matches(rule.repositories, repository)
            )
            for rule in self._rules
        )

    def all_may(self, right: Right, repository: str) -> bool:
        """Whether everybody has the right there, from anywhere, logged in or not."""
        return self.allow(_NOBODY, right, repository)

    def may_list(self, principal: Principal) -> bool:
        """Whether a listing is for the principal: it is for all who are known, however little it shows."""
        return (
            not self.given
            or bool(_lists(principal).name)
            or any(Right.PULL in rule.may and ANONYMOUS in rule.who for rule in self._rules)
        )

    def shows(self, principal: Principal, repository: str) -> bool:
        """Whether a listing shows the repository to the principal."""
        return self.allow(_lists(principal), Right.PULL, repository)

    def granted(self, principal: Principal, asked: Iterable[Scope]) -> frozenset[Scope]:
        """Of the scopes that a token is asked for, exactly what the principal has."""
        granted = set()
        for scope in asked:
            if scope == LISTING:
                rights = scope.rights if self.may_list(principal) else frozenset()
            else:
                rights = frozenset(
                    right for right in scope.rights if self.allow(principal, right, scope.repository)
                )
            if rights:
                granted.add(Scope(scope.repository, rights))
        return frozenset(granted)


def _lists(principal: Principal) -> Principal:
    """For whom a listing is made: a token that is not for listings is as good as none."""
    if principal.scopes is not None and LISTING not in principal.scopes:
        return Principal("", principal.address)
    return replace(principal, scopes=None)


def _covered(scopes: Iterable[Scope], right: Right, repository: str | None) -> bool:
    return any(
        repository is not None and scope.repository == repository and right in scope.rights
        for scope in scopes
    )
