"""What is recorded: who did what to what, from where, and how it ended. A line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Event = Literal["push", "delete", "denied", "login", "key", "user", "url", "tag"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: its client's address and its own id, each "" where it is not known."""

    address: str = ""
    request: str = ""


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Record:
    """One event and its end (`verdict`); what does not belong to it is left empty.

    `who` did it: `user:alice`, `robot:ci`, `anonymous`, `local:NAME` for a command on the server's machine.
    `reference` is a tag or a digest as it was said, `digest` the manifest's or blob's own, `pin` what agents
    compare. `problems` are codes, `replaced` the tags that named something else (`TAG@DIGEST`). `asked` is a
    request's method and path, `what` the user, the key or the id of a URL.
    """

    event: Event
    verdict: str
    who: str
    origin: Origin = NOWHERE
    repository: str = ""
    reference: str = ""
    digest: str = ""
    pin: str = ""
    problems: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    asked: str = ""
    what: str = ""

    def line(self, at: datetime) -> str:
        """The record as JSON in ASCII, without what is empty; nothing in it can be another line."""
        said: dict[str, Any] = {
            "time": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": self.event,
            "verdict": self.verdict,
            "who": self.who,
            "address": self.origin.address,
            "request": self.origin.request,
            "repository": self.repository,
            "reference": self.reference,
            "digest": self.digest,
            "pin": self.pin,
            "problems": self.problems,
            "replaced": self.replaced,
            "asked": self.asked,
            "what": self.what,
        }
        return json.dumps({name: value for name, value in said.items() if value})


Audit = Callable[[Record], None]
"""Takes records."""


def silent(record: Record) -> None:
    """Takes records to nowhere."""
    del record
