"""Changing the text of a users' file: other lines, comments and broken ones too, stay as they are."""

from __future__ import annotations

from registry.access.robots import LIVE, is_hash


def with_password(text: str, name: str, kept: str) -> str:
    """The text in which `name` is a user with the hash `kept`, in the place of any before."""
    lines = text.splitlines()
    found = [at for at, line in enumerate(lines) if _is(line, name, robot=False)]
    if not found:
        return _text([*lines, f"{name}:{kept}"])
    lines[found[0]] = f"{name}:{kept}"
    return _text([line for at, line in enumerate(lines) if at not in found[1:]])


def with_secret(text: str, name: str, kept: str) -> str:
    """The text in which `kept` is the newest secret of the robot; older ones go when there are too many."""
    lines = text.splitlines()
    found = [at for at, line in enumerate(lines) if _is(line, name, robot=True)]
    gone = found[: max(len(found) - LIVE + 1, 0)]
    return _text([*(line for at, line in enumerate(lines) if at not in gone), f"{name}:{kept}"])


def without(text: str, name: str, *, robot: bool, newest_stays: bool = False) -> str:
    """The text without a user, or without a robot's secrets but its newest one, if that is to stay."""
    lines = text.splitlines()
    found = [at for at, line in enumerate(lines) if _is(line, name, robot=robot)]
    gone = found[:-1] if newest_stays else found
    return _text([line for at, line in enumerate(lines) if at not in gone])


def _is(line: str, name: str, *, robot: bool) -> bool:
    said, colon, kept = line.strip().partition(":")
    return bool(colon) and said == name and is_hash(kept) is robot


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
