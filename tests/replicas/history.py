"""What writers and readers of several replicas saw and did: the record that `checker` judges. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["put", "untag", "delete"]


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when (Unix seconds, one clock) a request was under way, and at which replica."""

    began: float
    ended: float
    replica: int


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change something: put a manifest, by `tag` or by its digest; untag; delete a manifest.

    `known` says that it was acknowledged; else no answer came, and it was done, or not, or comes yet.
    """

    when: Span
    repository: str
    verb: Verb
    digest: str = ""
    tag: str = ""
    known: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer that says what a tag or a digest (`name`) is: `digest`, or None where it is not there.

    `of` says which part of it was missing, where that was one. A `fresh` answer is of one who asked the store
    itself: it may not be late.
    """

    when: Span
    repository: str
    name: str
    digest: str | None
    of: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An answer that the store or the server cannot do it now (503); `said` when to come again."""

    when: Span
    request: str
    said: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What a tag says at the end that it named, newest first: each digest with since when and until when."""

    repository: str
    tag: str
    named: tuple[tuple[str, float, float], ...]
    full: bool


@dataclass(slots=True)
class History:
    """All of it. `faults` are what writers found wrong by themselves; `kills` when a replica was killed.

    `fading` are repositories with a rule of retention: what was not pushed for `fades` seconds may go.
    """

    fading: frozenset[str] = frozenset()
    fades: float = 0.0
    changes: list[Change] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)
    pasts: list[Past] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
