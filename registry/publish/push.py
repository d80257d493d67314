"""A push: what came, and what is acknowledged of it."""

from __future__ import annotations

from dataclasses import dataclass

from registry.audit.record import NOWHERE, Origin
from registry.publish.tagging import UNCONDITIONAL, Conditions
from registry.verdict import Problem
from storage.digest import Digest

ANONYMOUS = "anonymous"
"""Who pushes where nobody need say who he is."""


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest as it came: `reference` is a tag or a digest, `tags` are further tags to set.

    `conditions` must hold of what `reference` names until then; `by` is who wants it, `origin` from where.
    """

    reference: str | Digest
    content_type: str
    body: bytes
    tags: tuple[str, ...] = ()
    conditions: Conditions = UNCONDITIONAL
    by: str = ""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was acknowledged: `problems` are what is wrong, `warnings` what the client is told of it.

    `unsigned` says what is missing for others to get it.
    """

    digest: Digest
    subject: Digest | None
    tags: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    unsigned: Problem | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """All that the client is told."""
        return (*self.warnings, *([str(self.unsigned)] if self.unsigned else []))
