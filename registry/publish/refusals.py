"""Refusals: what a push was refused for, or warned of, kept for those whose client shows a status only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from registry.verdict import Problem
from storage import records
from storage.digest import Digest
from storage.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    NameInvalid,
    QuotaExceeded,
    RegistryError,
    TagImmutable,
)
from storage.names import reference as read_reference
from storage.refusals import MAX_BYTES, Kept
from storage.repositories import Repository

MOST_PROBLEMS = 20
MOST_TAGS = 5
"""Under how many further tags of one push its refusal is kept."""
MOST_MISSING = 5
"""Of how many missing images of an index the reason is looked for."""

_SECONDS = 5.0
_SHORTEST = 50

_log = logging.getLogger("sidecargo.publish")


class Sent(Protocol):
    """A manifest as it came."""

    @property
    def reference(self) -> str | Digest:
        """A tag or a digest."""

    @property
    def body(self) -> bytes:
        """Its bytes."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Further tags to set."""


class Taken(Protocol):
    """What was acknowledged."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the client is told about it all the same."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the gate found wrong."""


T = TypeVar("T", bound=Taken)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a push was refused; or, when `warned`, what it was taken in spite of.

    `reference` is what was pushed to, `digest` what was pushed, `code` the error's, and `problems` are what
    the client was told, the first one first. `at` is when (Unix seconds); `direct` says that it was a push
    of what is asked for, not of something that may have belonged to one.
    """

    reference: str | Digest
    digest: Digest
    code: str
    problems: tuple[Problem, ...]
    warned: bool = False
    at: float = 0.0
    direct: bool = True

    @property
    def message(self) -> str:
        """What the client was told."""
        return str(self.problems[0]) if self.problems else ""


async def noted(repository: Repository, sent: Sent, push: Awaitable[T]) -> T:
    """What the push gives or raises; a refusal or a warning is kept before, as well as that can be done."""
    try:
        receipt = await push
    except (ManifestInvalid, TagImmutable, QuotaExceeded) as refused:
        await _keep(repository, sent, partial(of, sent, refused))
        raise
    except ManifestBlobUnknown as absent:
        reasons = await _reasons(repository, absent.missing)
        await _keep(repository, sent, partial(of, sent, absent, reasons))
        if not reasons:
            raise
        first = reasons[0]
        raise ManifestBlobUnknown(absent.missing, reason=first.message, fix=first.fix) from None
    if receipt.warnings:
        await _keep(repository, sent, partial(_warning, sent, receipt))
    return receipt


def of(
    sent: Sent,
    refused: ManifestInvalid | TagImmutable | QuotaExceeded | ManifestBlobUnknown,
    reasons: tuple[Problem, ...] = (),
) -> Refusal:
    """A refusal as a value: the gate's problems, else the error as one problem of its own.

    `reasons` are those why something is missing: they come first, for they are what is to be mended.
    """
    problems = () if isinstance(refused, ManifestBlobUnknown) else problems_of(refused)
    if not problems:
        problems = (*reasons, _one(refused))
    return Refusal(sent.reference, digest_of(sent), refused.code, problems)


def problems_of(refused: RegistryError) -> tuple[Problem, ...]:
    """The gate's problems in an error, where there are any."""
    said = refused.detail
    if not isinstance(said, Sequence) or isinstance(said, str):
        return ()
    return tuple(
        Problem.from_json(one)
        for one in said
        if isinstance(one, Mapping) and {"code", "message", "fix"} <= set(one)
    )


def digest_of(sent: Sent) -> Digest:
    """The digest under which it was sent, else that of its bytes."""
    return sent.reference if isinstance(sent.reference, Digest) else Digest.of(sent.body)


def to_record(refusal: Refusal) -> dict[str, Any]:
    """A refusal as a JSON document that a store takes: what is too much is left out, the last first."""
    problems = list(refusal.problems[:MOST_PROBLEMS])
    while len(records.write(_document(refusal, problems))) > MAX_BYTES:
        if len(problems) > 1:
            problems.pop()
        else:
            problems = [_shortened(problems[0])]
    return _document(refusal, problems)


def from_record(kept: Kept | None) -> Refusal | None:
    """What `to_record` wrote, with the time when it was kept; None when it is missing or damaged."""
    if kept is None:
        return None
    record = kept.record
    try:
        return Refusal(
            reference=read_reference(record["reference"]),
            digest=Digest.parse(record["digest"]),
            code=str(record["code"]),
            problems=tuple(map(Problem.from_json, record["problems"])),
            warned=bool(record["warned"]),
            at=kept.at,
        )
    except (AttributeError, KeyError, TypeError, DigestInvalid, NameInvalid):
        return None


async def find(repository: Repository, reference: str | Digest) -> Refusal | None:
    """What is known of the last push of a reference that was refused or warned of.

    Of a tag of which nothing is known: what was pushed by digest last. Clients push the images of an index
    so, and the tag never comes when one of them is refused.
    """
    found = from_record(await repository.refusals.find(reference))
    if found is None and isinstance(reference, str):
        last = from_record(await repository.refusals.last_by_digest())
        return replace(last, direct=False) if last else None
    return found


async def _reasons(repository: Repository, missing: Sequence[str]) -> tuple[Problem, ...]:
    """Why images are missing from an index: they were refused before. Without an answer there is none."""
    found: dict[Problem, None] = {}
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_SECONDS):
            for digest in missing[:MOST_MISSING]:
                child = from_record(await repository.refusals.find(Digest.parse(digest)))
                if child and not child.warned:
                    found.update(dict.fromkeys(child.problems))
    return tuple(found)


async def _keep(repository: Repository, sent: Sent, make: Callable[[], Refusal]) -> None:
    """Keep it; whatever goes wrong here is logged only: the client gets its answer."""
    try:
        async with asyncio.timeout(_SECONDS):
            refusal = make()
            record, tags = to_record(refusal), sent.tags[:MOST_TAGS]
            if isinstance(sent.reference, Digest):
                await repository.refusals.keep_by_digest(sent.reference, tags, record)
            else:
                await repository.refusals.keep((sent.reference, refusal.digest), record)
    except Exception as error:
        _log.warning(
            "a refusal was not kept: repository=%s: %s", repository.name, error or "it took too long"
        )


def _warning(sent: Sent, receipt: Taken) -> Refusal:
    return Refusal(sent.reference, digest_of(sent), "", receipt.problems, warned=True)


def _one(refused: RegistryError) -> Problem:
    return Problem(refused.code.lower().replace("_", "-"), refused.message, refused.fix)


def _document(refusal: Refusal, problems: list[Problem]) -> dict[str, Any]:
    return {
        "reference": str(refusal.reference),
        "digest": str(refusal.digest),
        "code": refusal.code,
        "problems": [problem.to_json() for problem in problems],
        "warned": refusal.warned,
    }


def _shortened(problem: Problem) -> Problem:
    half = max(len(problem.message) // 2, _SHORTEST)
    return Problem(problem.code[:_SHORTEST], problem.message[:half], problem.fix[:half])
