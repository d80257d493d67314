"""Everybody who is known at one moment, and what still proves who one is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from registry.access.htpasswd import Users
from registry.access.principal import ROBOT, USER
from registry.access.robots import Robot


@dataclass(frozen=True, slots=True)
class Identity:
    """Who showed a right credential: `proof` is a print of what it was held against.

    It is good for as long as that is kept, for robots until they expire, and until it `ends`. Who is known
    elsewhere has the `groups` that were told; `by` is the id of the personal token that was shown, if any.
    """

    name: str
    proof: str
    groups: frozenset[str] = frozenset()
    ends: float = math.inf
    by: str = ""


class RobotExpired(Exception):
    """The secret is right, and the robot is not known any more."""

    def __init__(self, robot: Robot) -> None:
        super().__init__(robot.name)
        self.robot = robot


class Identities:
    """Users and robots of a file, and the robots of the settings."""

    def __init__(self, users: Users, robots: Iterable[Robot] = ()) -> None:
        self._users = users
        self._robots: dict[str, list[Robot]] = {}
        for robot in (*robots, *users.robots):
            self._robots.setdefault(robot.name, []).append(robot)

    @property
    def nobody(self) -> bytes:
        """See `Users.nobody`."""
        return self._users.nobody

    def robot(self, name: str, secret: bytes, now: float) -> Identity | None:
        """The robot that the secret is of; raises RobotExpired."""
        for robot in self._robots.get(name, ()):
            proof = robot.proof(secret)
            if proof is not None:
                if _is_over(robot, now):
                    raise RobotExpired(robot)
                return Identity(f"{ROBOT}{name}", _print(proof.encode()))
        return None

    def kept(self, name: str) -> bytes | None:
        """The hash of a user's password."""
        return self._users.hashes.get(name)

    def user(self, name: str, kept: bytes) -> Identity:
        """The user whose password was held against `kept`."""
        return Identity(f"{USER}{name}", _print(kept))

    def holds(self, identity: Identity, now: float) -> bool:
        """Whether what proved it is still kept."""
        if identity.name.startswith(USER):
            kept = self.kept(identity.name.removeprefix(USER))
            return kept is not None and _print(kept) == identity.proof
        return any(
            _print(known.encode()) == identity.proof
            for robot in self._robots.get(identity.name.removeprefix(ROBOT), ())
            if not _is_over(robot, now)
            for known in robot.hashes
        )


def _is_over(robot: Robot, now: float) -> bool:
    ends = robot.ends
    return ends is not None and now >= ends


def _print(kept: bytes) -> str:
    """Tells one hash from another, and nothing of what it is of: tokens carry it."""
    return hashlib.sha256(b"proof:" + kept).hexdigest()[:24]
