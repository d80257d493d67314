"""Tags: whether a push may move them, what it says must be so before, and what they named until then.

Both are asked twice: before anything is stored, so that a push that is refused leaves nothing, and at the
move itself, which the store makes only while the tag is as it was seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from registry.verdict import Problem
from storage import attached
from storage.digest import Digest
from storage.driver import nothing
from storage.errors import ManifestUnknown, PreconditionFailed, StoreUnavailable, TagImmutable
from storage.gc import retention
from storage.manifest import Descriptor
from storage.repositories import Repository
from storage.together import together

ANY = "*"
"""The member of a condition's set that stands for whatever is there."""

_LOOK_AGAIN = "Look at what is there now, then decide again."
_UNPROTECT = "Take it out of tags.immutable in the registry's settings first."


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be so of what a request is to change (RFC 9110, 13.1); None: nothing is asked.

    `match` are digests of which it must be one, `none_match` those of which it must be none; ANY stands for
    whatever is there.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def must_hold(self, what: str, named: Digest | None) -> None:
        """Raises PreconditionFailed where they do not hold of `what`, which names that, or is not there."""
        if self.match is not None and not _among(self.match, named):
            wrong = "If-Match does not name it"
        elif self.none_match is not None and _among(self.none_match, named):
            wrong = "If-None-Match names it"
        else:
            return
        there = "is not there" if named is None else f"names {named}"
        problem = Problem("precondition-failed", f"{what} {there}, and {wrong}.", _LOOK_AGAIN)
        raise PreconditionFailed(problem.message, fix=problem.fix, detail=_detail(problem, named))


UNCONDITIONAL = Conditions()


class Wanted(Protocol):
    """A manifest as it came: what it is to be called, on which conditions, and who wants it."""

    @property
    def reference(self) -> str | Digest:
        """A tag or a digest."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Further tags to set."""

    @property
    def conditions(self) -> Conditions:
        """What must be so of what `reference` names until then."""

    @property
    def by(self) -> str:
        """Who wants it."""


async def _no_tag(tag: str, held: bytes | None) -> bool:
    del tag, held
    return False


class Moves:
    """The tags that one push sets: what they are when it begins, whether they may be moved, and the moves."""

    def __init__(
        self, repository: Repository, push: Wanted, digest: Digest, immutable: Sequence[str] = ()
    ) -> None:
        """`digest` is that of what is pushed, `immutable` are patterns of tags."""
        by_tag = isinstance(push.reference, str)
        named = (push.reference, *push.tags) if isinstance(push.reference, str) else push.tags
        # The immutable ones first: one that another push has set meanwhile refuses what comes after it.
        self.tags = sorted(dict.fromkeys(named), key=lambda tag: not is_immutable(tag, immutable))
        self._repository = repository
        self._digest = digest
        self._immutable = immutable
        self._of_tag = push.conditions if by_tag else UNCONDITIONAL
        self._of_digest = UNCONDITIONAL if by_tag else push.conditions
        self._by = push.by
        self._held: dict[str, bytes | None] | None = None

    async def check(self) -> None:
        """Raises TagImmutable or PreconditionFailed where the push is not to be; looks where that may be."""
        if self._of_digest:
            await self._must_hold()
        if self._of_tag or any(is_immutable(tag, self._immutable) for tag in self.tags):
            for tag, held in (await self.look()).items():
                self._may(tag, held)

    async def look(self) -> dict[str, bytes | None]:
        """What the tags are when it is first looked."""
        if self._held is None:
            held = await together(*map(self._repository.tags.held, self.tags))
            self._held = dict(zip(self.tags, held, strict=True))
        return self._held

    async def make(
        self,
        descriptor: Descriptor,
        otherwise: Callable[[str, bytes | None], Awaitable[bool]] = _no_tag,
        answered: Mapping[str, Digest] = MappingProxyType({}),
    ) -> dict[str, Digest]:
        """Let the tags name what was pushed; what else those named that named something else.

        `otherwise` is given each tag and what it is, and says whether it has moved it in its own way. What
        some are still `answered` of a tag is remembered. Raises TagImmutable or PreconditionFailed where
        somebody was faster, StoreError.
        """
        replaced = {}
        for tag, held in (await self.look()).items():
            if await otherwise(tag, held):
                continue
            may = partial(self._may, tag)
            was = await self._repository.tags.settle(
                tag, descriptor, held, by=self._by, may=may, answered=answered.get(tag)
            )
            if was is not None and was != descriptor.digest:
                replaced[tag] = was
        return replaced

    def _may(self, tag: str, held: bytes | None) -> None:
        is_held = is_immutable(tag, self._immutable)
        if not is_held and not self._of_tag:
            return
        named = self._repository.tags.named(tag, held)
        if held is not None and named is None:
            raise StoreUnavailable(
                f"what the tag {tag!r} names cannot be read.",
                fix="Run sidecargo fsck; it says what is wrong.",
            )
        if is_held and named is not None and named != self._digest:
            raise refusal(tag, named)
        self._of_tag.must_hold(f"the tag {tag!r}", named)

    async def _must_hold(self) -> None:
        found = None
        with contextlib.suppress(ManifestUnknown):
            await self._repository.find(self._digest)
            found = self._digest
        self._of_digest.must_hold(f"the manifest {self._digest}", found)


def is_immutable(tag: str, patterns: Sequence[str]) -> bool:
    """Whether a tag never moves. Those of signatures and the like do: more of them come."""
    return attached.stem_of(tag) is None and any(retention.matches(pattern, tag) for pattern in patterns)


def refusal(tag: str, named: Digest, *, deleting: bool = False) -> TagImmutable:
    """What is said to who wants an immutable tag to name something else, or to go."""
    what, fix = ("is not deleted", _UNPROTECT) if deleting else ("does not move", "Push under a new tag.")
    problem = Problem("tag-immutable", f"the tag {tag} is immutable: it names {named} and {what}.", fix)
    return TagImmutable(problem.message, fix=problem.fix, detail=_detail(problem, named))


async def remove(
    repository: Repository,
    reference: str | Digest,
    *,
    immutable: Sequence[str] = (),
    then: Callable[[], Awaitable[object]] = nothing,
) -> None:
    """Remove a tag; or a manifest, with the tags that name it. Raises ManifestUnknown, TagImmutable.

    `then` is done when a manifest is gone, before tags are looked for once more.
    """
    if isinstance(reference, str):
        if is_immutable(reference, immutable):
            named, _ = await repository.tags.resolve(reference)
            raise refusal(reference, named.digest, deleting=True)
        await repository.tags.delete(reference)
    elif immutable:
        kept: Callable[[str], bool] = partial(is_immutable, patterns=immutable)
        await repository.find(reference)
        # Looked for before anything goes: of all the tags that name it, either all go or none.
        names = [tag for tag in await repository.tags.naming(reference) if kept(tag)]
        if names := names or await repository.delete(reference, kept, then=then):
            raise refusal(names[0], reference, deleting=True)
    else:
        await repository.delete(reference, then=then)


def _among(digests: frozenset[str], named: Digest | None) -> bool:
    return named is not None and (ANY in digests or str(named) in digests)


def _detail(problem: Problem, named: Digest | None) -> list[dict[str, Any]]:
    """For programs: the problem, and the digest that is there."""
    return [problem.to_json() | {"digest": None if named is None else str(named)}]
