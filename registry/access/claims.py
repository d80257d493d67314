"""What an identity token says of its holder, made into a name, into groups, and held against what must be.

A template is text with the names of claims in it: `repo:{repository}`. What is within a claim is found by
dots, `{kubernetes.io.namespace}`; a claim whose own name has dots is found, too. A claim that is a list makes
one text for each of its values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

MOST = 1000
"""Groups of one token at most."""

LONGEST = 256
"""Characters of a name or a group."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"[!-z|~]{1,200}")
_LITERAL = re.compile(r"[!-$&-z|~]*")  # printable, without a space, braces, or %
_PLAIN = frozenset(chr(code) for code in range(0x21, 0x7F)) - {"%"}
_EMAIL, _EMAIL_IS_VERIFIED = "email", "email_verified"


class TooManyGroups(Exception):
    """A token from whose claims more groups follow than anybody is in."""


@dataclass(frozen=True, slots=True)
class Template:
    """Text with claims in it: `literals` are around the `paths`, one more than those."""

    literals: tuple[str, ...]
    paths: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template that a text is; raises ValueError with the fix."""
        literals, paths = _PLACE.split(text)[::2], _PLACE.split(text)[1::2]
        if not text or not all(map(_LITERAL.fullmatch, literals)):
            raise ValueError(
                f"{text!r} is no template; write plain characters and claims in braces, "
                'as in "repo:{repository}"'
            )
        if not all(map(_PATH.fullmatch, paths)):
            raise ValueError(f"{text!r} has braces without a claim; write its name, as in {{repository}}")
        if not all(literals[1:-1]):
            raise ValueError(
                f"{text!r} has two claims with nothing between them, and nobody could tell where one ends; "
                "write : there"
            )
        return cls(tuple(literals), tuple(paths))

    def __str__(self) -> str:
        middle = (f"{{{path}}}{literal}" for path, literal in zip(self.paths, self.literals[1:], strict=True))
        return self.literals[0] + "".join(middle)

    def texts(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The texts that follow from claims, none where one of them is missing; raises TooManyGroups.

        Characters that no name has are percent-encoded, and within claims also those that stand between two
        of them: so the same text never follows from claims that differ in where one ends.
        """
        plain = _PLAIN.difference("".join(self.literals[1:-1]))
        found = [[_encoded(value, plain) for value in values(claims, path)] for path in self.paths]
        if prod(map(len, found)) > MOST:
            raise TooManyGroups
        texts = (self._filled(filling) for filling in product(*found))
        return tuple(text for text in texts if 0 < len(text) <= LONGEST)

    def _filled(self, filling: Sequence[str]) -> str:
        return self.literals[0] + "".join(
            value + literal for value, literal in zip(filling, self.literals[1:], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Naming:
    """How the claims of an issuer's tokens become a name, and groups."""

    user: Template
    groups: tuple[Template, ...] = ()

    def user_of(self, claims: Mapping[str, Any]) -> str | None:
        """The one name that follows from claims; None where none or several do; raises TooManyGroups."""
        found = self.user.texts(claims)
        return found[0] if len(found) == 1 else None

    def groups_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The groups that follow from claims; raises TooManyGroups."""
        found = frozenset(text for group in self.groups for text in group.texts(claims))
        if len(found) > MOST:
            raise TooManyGroups
        return found


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a claim must be: one of some values, in which `*` is any characters."""

    path: str
    patterns: tuple[str, ...]

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether one of the claim's values is as it must be."""
        return any(
            re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL)
            for value in values(claims, self.path)
            for pattern in self.patterns
        )


def values(claims: Mapping[str, Any], path: str) -> list[str]:
    """The values of a claim as text: one of each entry of a list, none of what is neither text nor number.

    An address that the issuer has not verified is nobody's.
    """
    if path == _EMAIL and claims.get(_EMAIL_IS_VERIFIED) in (False, "false"):
        return []
    found = _found(claims, path)
    return [text for one in (found if isinstance(found, list) else [found]) for text in _texts(one)]


def _found(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:
        return claims[path]
    for head, rest in _splits(path):
        if isinstance(inner := claims.get(head), dict):
            return _found(inner, rest)
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """All ways to take a path for the name of a claim and what is within it, the longest name first."""
    at = path.rfind(".")
    while at > 0:
        yield path[:at], path[at + 1 :]
        at = path.rfind(".", 0, at)


def _encoded(value: str, plain: Collection[str]) -> str:
    return "".join(
        one if one in plain else "".join(f"%{byte:02X}" for byte in one.encode("utf-8", "surrogatepass"))
        for one in value
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str | int):
        text = str(value)
        return (text,) if text else ()
    return ()
