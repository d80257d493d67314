"""Pushes and deletions as the audit has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from registry.audit.record import Origin, Record
from registry.publish.push import ANONYMOUS, Push
from storage.digest import Digest


def pushed(
    repository: str,
    push: Push,
    digest: Digest,
    verdict: str,
    problems: Sequence[str],
    pin: Digest | None = None,
    replaced: Mapping[str, Digest] = MappingProxyType({}),
) -> Record:
    """A push and its verdict (accepted, warned, refused, attachment); `replaced`: what tags named before."""
    return Record(
        event="push",
        verdict=verdict,
        who=push.by or ANONYMOUS,
        origin=push.origin,
        repository=repository,
        reference=str(push.reference),
        digest=str(digest),
        pin=str(pin or ""),
        problems=tuple(problems),
        replaced=tuple(f"{tag}@{was}" for tag, was in replaced.items()),
    )


def deleted(
    repository: str,
    reference: str | Digest,
    by: str,
    origin: Origin,
    verdict: str,
    problems: tuple[str, ...] = (),
) -> Record:
    """A tag or a manifest that is gone (done), or stays (refused)."""
    return Record(
        event="delete",
        verdict=verdict,
        who=by or ANONYMOUS,
        origin=origin,
        repository=repository,
        reference=str(reference),
        digest=str(reference) if isinstance(reference, Digest) else "",
        problems=problems,
    )
