"""Is a history one that the registry's promises allow? Pure.

Every tag and every manifest of a repository is a register: it names a digest, or nothing. What an answer says
of it must have been put there by a change that had begun before the answer came, and that no other one has
surely replaced: one that was acknowledged, began after the first had ended, and that the replica had to know
of when the request came. A replica knows at once of what was changed by itself, and that something is there
at all; it may show for LATE seconds what another one has replaced or removed.

It says nothing of what happened at the same time: a fault is one in whatever order that is put.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.replicas.history import Change, History, Past, Seen, Span, Unavailable

LATE = 2.0
"""For how long a replica may show what another one has replaced or removed."""
DOUBT = 15.0
"""For how long a request without an answer may still come to pass."""
AFTERMATH = 5.0
"""For how long after a kill others may be unable to answer."""
_ROUNDED = 0.002


@dataclass(frozen=True, slots=True)
class _Set:
    """A change of one register to `value`; `ends` says which values it surely ends, None: none."""

    began: float
    ended: float
    replica: int
    value: str | None
    ends: Callable[[str | None], bool] | None = None


@dataclass(slots=True)
class _Register:
    """What may have happened to one tag or manifest."""

    sets: dict[str | None, list[_Set]] = field(default_factory=lambda: defaultdict(list))
    sure: list[_Set] = field(default_factory=list)
    _began: list[float] = field(default_factory=list)

    def add(self, one: _Set) -> None:
        self.sets[one.value].append(one)
        if one.ends:
            self.sure.append(one)

    def fade(self, after: float) -> None:
        """Each put may be followed by the end of it, so long after, unless it is put again before."""
        puts = [one for name, sets in self.sets.items() if name for one in sets]
        sure = sorted((one.began, one.ended) for one in puts if one.ends)
        for one in puts:
            following = bisect_right(sure, (one.ended, math.inf))
            ended = sure[following][1] if following < len(sure) else math.inf
            if ended > one.began + after:
                self.add(_Set(one.began + after, ended, -1, None))

    def close(self) -> None:
        self.sure.sort(key=lambda one: one.began)
        self._began = [one.began for one in self.sure]

    def allows(self, seen: Seen) -> bool:
        """Whether it may have been as it was seen."""
        if seen.digest is None:
            before = _Set(-math.inf, -math.inf, -1, None)
            if not self._ended(before, seen):
                return True
        return any(
            one.began <= seen.when.ended and not self._ended(one, seen) for one in self.sets[seen.digest]
        )

    def _ended(self, one: _Set, seen: Seen) -> bool:
        """Whether what was set had to be replaced when the request came."""
        first = bisect_right(self._began, one.ended)
        last = bisect_right(self._began, seen.when.began)
        return any(
            other.ends is not None
            and other.ends(seen.digest)
            and other.ended + _lag(other, seen) < seen.when.began
            for other in self.sure[first:last]
        )


def faults(history: History) -> list[str]:
    """All that no order of what happened explains."""
    registers = _registers(history)
    found = list(history.faults)
    found += [_told(one) for one in history.seen if not registers[one.repository, one.name].allows(one)]
    found += [_refused(one) for one in history.unavailable if not _excused(one, history.kills)]
    for past in history.pasts:
        found += _lost(past, history, registers[past.repository, past.tag])
    return found


def _registers(history: History) -> dict[tuple[str, str], _Register]:
    registers: dict[tuple[str, str], _Register] = defaultdict(_Register)
    tagged: dict[tuple[str, str], set[str]] = defaultdict(set)
    for change in history.changes:
        if change.tag and change.verb == "put":
            tagged[change.repository, change.digest].add(change.tag)
    for change in history.changes:
        for name, one in _sets(change, tagged[change.repository, change.digest]):
            registers[change.repository, name].add(one)
    for (repository, _), register in registers.items():
        if repository in history.fading:
            register.fade(history.fades)
        register.close()
    return registers


def _sets(change: Change, tags: Iterable[str]) -> Iterator[tuple[str, _Set]]:
    """What a change does, by the names of the registers."""
    when, known = change.when, change.known
    ended = when.ended if known else when.ended + DOUBT
    value = change.digest if change.verb == "put" else None
    whole = _Set(when.began, ended, when.replica, value, _all_but(value) if known else None)
    if change.verb == "untag":
        yield change.tag, whole
        return
    yield change.digest, whole
    if change.verb == "put" and change.tag:
        yield change.tag, whole
    if change.verb == "delete":
        # Of the tags those go that name it.
        only = _only(change.digest) if known else None
        for tag in tags:
            yield tag, _Set(when.began, ended, when.replica, None, only)


def _all_but(value: str | None) -> Callable[[str | None], bool]:
    return lambda other: other != value


def _only(value: str) -> Callable[[str | None], bool]:
    return lambda other: other == value


def _lag(other: _Set, seen: Seen) -> float:
    # That something is not there is told by nobody from memory.
    return 0.0 if seen.fresh or seen.digest is None or other.replica == seen.when.replica else LATE


def _excused(one: Unavailable, kills: list[float]) -> bool:
    return one.said and any(one.when.began - AFTERMATH <= kill <= one.when.ended for kill in kills)


def _lost(past: Past, history: History, register: _Register) -> Iterator[str]:
    """The acknowledged moves of a tag that its own history does not have, where nothing can have ended it."""
    gone = max((one.ended for one in register.sets[None]), default=-math.inf)
    oldest = min((since for _, since, _ in past.named), default=math.inf) if past.full else -math.inf
    puts = [
        one
        for one in history.changes
        if (one.repository, one.tag, one.verb) == (past.repository, past.tag, "put")
    ]
    named = [
        (digest, since, _latest(until, puts, following))
        for (digest, since, until), following in zip(
            past.named, ["", *(digest for digest, _, _ in past.named)], strict=False
        )
    ]
    for change in puts:
        when = change.when
        if not change.known or when.began <= max(gone, oldest):
            continue
        if not any(
            digest == change.digest and since <= when.ended + _ROUNDED and until >= when.began - _ROUNDED
            for digest, since, until in named
        ):
            yield f"{past.repository}:{past.tag} does not know that it named {_at(change.digest, when)}"


def _latest(until: float, puts: Iterable[Change], following: str) -> float:
    """Until when a digest may have been named: who moves a tag notes the time, then writes."""
    return max(
        (
            one.when.ended + (0 if one.known else DOUBT)
            for one in puts
            if one.digest == following and one.when.began - _ROUNDED <= until <= one.when.ended + _ROUNDED
        ),
        default=until,
    )


def _told(seen: Seen) -> str:
    what = f"was {seen.digest[:19]}" if seen.digest else f"lacked {seen.of}" if seen.of else "was not there"
    return f"{seen.repository} {_at(seen.name, seen.when)} {what}"


def _refused(one: Unavailable) -> str:
    said = "" if one.said else ", without Retry-After"
    return f"{_at(one.request, one.when)} answered 503{said}"


def _at(what: str, when: Span) -> str:
    return f"{what} at replica {when.replica} from {when.began:.3f} to {when.ended:.3f}"
