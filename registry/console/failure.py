"""How a command fails: one clear line with the fix, and the exit code."""

from __future__ import annotations

import click

REFUSED = 1
UNUSABLE = 2


class Failure(click.ClickException):
    """Wrong usage, or a path or reference that cannot be read: `message` says what, `fix` what to type."""

    exit_code = UNUSABLE

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(f"{message} {fix}".rstrip())


class Refusal(Failure):
    """It was done, and the answer is no."""

    exit_code = REFUSED
