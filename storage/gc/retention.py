"""Retention: which tags of a repository go by its rule, and what else the rule says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from storage.digest import Digest

DAY = 24 * 3600.0

_PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,128}")


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays of a repository; all else may go.

    The `last` newest tags stay, those that are younger than `days`, those that match a pattern of `tags`;
    and the manifests of `digests`, with or without a tag. Where neither `last` nor `days` is said, every
    tag stays, and only manifests that nothing leads to go.
    """

    last: int | None = None
    days: int | None = None
    tags: tuple[str, ...] = ()
    digests: frozenset[Digest] = field(default_factory=frozenset)

    def least_age(self, grace: float) -> float:
        """How old (seconds) a tag or a manifest must be to go."""
        return max(grace, (self.days or 0) * DAY)


class Expiry:
    """Goes through the tags of one repository, newest first; those may go that were written before a time."""

    def __init__(self, keep: Keep, before: float) -> None:
        self._keep = keep
        self._before = before
        self._seen = 0

    def goes(self, tag: str, modified: float) -> bool:
        """Whether this tag goes, which was written at that time (Unix seconds).

        Tags that a pattern keeps do not count among the `last`.
        """
        keep = self._keep
        if keep.last is None and keep.days is None:
            return False
        if any(matches(pattern, tag) for pattern in keep.tags):
            return False
        self._seen += 1
        return self._seen > (keep.last or 0) and modified < self._before


def validated(pattern: str) -> str:
    """A pattern of tags itself when it is well-formed; raises ValueError with the fix otherwise."""
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(
            f"{pattern[:140]!r} is not a pattern of tags; write a tag, with * for any characters"
        )
    return pattern


def matches(pattern: str, tag: str) -> bool:
    """Whether a well-formed pattern names a tag: `*` is any characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return tag == first
    # What stands between two stars is taken where it comes first: a pattern of many stars takes no time.
    at = len(first)
    for part in rest[:-1]:
        found = tag.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return tag.startswith(first) and tag.endswith(rest[-1]) and len(tag) - len(rest[-1]) >= at
