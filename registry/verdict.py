"""The vocabulary of judging: a problem that its reader can act on, and what a consumer makes of an image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why something does not load.

    `code` is a stable name in kebab-case; `message` says what is wrong in the words that the client
    would use; `fix` says what to type. Both together are meant to fit in 200 characters, which is
    what `docker push` shows.
    """

    code: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()

    def to_json(self) -> dict[str, str]:
        """The problem as a JSON document."""
        return {"code": self.code, "message": self.message, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one consumer makes of an image: it loads when there is no problem."""

    consumer: str
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the consumer loads it."""
        return not self.problems
