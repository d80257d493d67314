"""The users' file: `NAME:HASH` a line, bcrypt for people as `htpasswd -B` writes it, SHA-256 for robots.

Pure: text in, values out; a line that is broken is said, and the others count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import bcrypt

from registry.access.principal import is_name
from registry.access.robots import LIVE, Robot, is_hash

COST = 10
"""bcrypt's cost for passwords that are set here."""

LONGEST = 72
"""Bytes of a password that bcrypt looks at; `htpasswd` cuts longer ones there, too."""

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_COSTS = range(4, 16)  # beyond, one login would take seconds of a processor
_NOTHING = b"." * 53


@dataclass(frozen=True, slots=True)
class Users:
    """What a file says: hashes of passwords by user, robots, and what is wrong by line."""

    hashes: Mapping[str, bytes]
    robots: tuple[Robot, ...]
    problems: tuple[str, ...] = ()

    @property
    def nobody(self) -> bytes:
        """The hash that the password of somebody unknown is held against: it takes as long as the others."""
        costs = [cost_of(one) for one in self.hashes.values()]
        return b"$2b$%02d$%b" % (max(costs, default=COST), _NOTHING)


def parse(text: str) -> Users:
    """The users that a file's text has. Nothing of a broken line is quoted: it may be a password."""
    hashes: dict[str, bytes] = {}
    robots: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for number, line in _lines(text):
        name, colon, kept = line.partition(":")
        if not colon or not is_name(name):
            problems.append(f"line {number}: no name that a user may have stands before its first colon")
        elif is_hash(kept):
            if len(robots.get(name, ())) == LIVE:
                problems.append(f"line {number}: the robot {name} has {LIVE} secrets already")
            else:
                robots[name] = (*robots.get(name, ()), kept)
        elif (found := _BCRYPT.fullmatch(kept)) is None or int(found[1]) not in _COSTS:
            problems.append(
                f"line {number}: {name} has no bcrypt hash of a cost from {_COSTS[0]} to {_COSTS[-1]}; "
                "write it with `sidecargo users add` or `htpasswd -B`"
            )
        elif name in hashes:
            problems.append(f"line {number}: {name} is there twice; the first one counts")
        else:
            hashes[name] = kept.encode()
    return Users(hashes, tuple(Robot(name, kept) for name, kept in robots.items()), tuple(problems))


def cost_of(kept: bytes) -> int:
    """bcrypt's cost of a hash."""
    return int(kept[4:6])


def hashed(password: bytes) -> str:
    """The hash to keep of a password; takes its time."""
    return bcrypt.hashpw(password[:LONGEST], bcrypt.gensalt(COST)).decode()


def is_of(password: bytes, kept: bytes) -> bool:
    """Whether a hash is of the password; takes its time."""
    try:
        return bcrypt.checkpw(password[:LONGEST], kept)
    except ValueError:
        return False


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield number, bare
