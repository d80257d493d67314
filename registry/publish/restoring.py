"""A tag moved back: to what it named before, or to any manifest that is in its repository."""

from __future__ import annotations

from dataclasses import dataclass

from registry.publish import tagging
from storage.digest import Digest
from storage.errors import ManifestUnknown, PreconditionFailed
from storage.manifest import Descriptor
from storage.repositories import Repository


@dataclass(frozen=True, slots=True)
class Restored:
    """What a tag names now, and what it named until then."""

    named: Descriptor
    was: Digest


async def restore(
    repository: Repository,
    tag: str,
    digest: Digest | None = None,
    *,
    immutable: tuple[str, ...] = (),
    by: str = "",
) -> Restored:
    """Let a tag name a manifest again; without a digest, what it named before.

    Raises ManifestUnknown where there is no such tag or manifest, or nothing that it named before;
    TagImmutable; PreconditionFailed where somebody moves it at the same time; StoreError.
    """
    held = await repository.tags.held(tag)
    if held is None:
        raise ManifestUnknown(
            f"{repository.name} has no tag {tag!r}.",
            fix=f"If it was collected: sidecargo gc --restore {repository.name}:{tag}; else push it.",
        )
    history = await repository.tags.history(tag)
    named = history.named.digest
    if digest is None:
        if not history.former:
            raise ManifestUnknown(
                f"{repository.name}:{tag} named nothing before {named} within the time that is remembered.",
                fix=f"Name a digest: sidecargo tags restore {repository.name}:{tag} sha256:…",
            )
        digest = history.former[0].descriptor.digest
    if digest != named and tagging.is_immutable(tag, immutable):
        raise tagging.refusal(tag, named)
    try:
        stored = await repository.get(digest)
    except ManifestUnknown:
        raise ManifestUnknown(
            f"{repository.name} has no manifest {digest} any more.",
            fix=f"If it was collected: sidecargo gc --restore {repository.name}@{digest}; else push it.",
        ) from None
    if not await repository.tags.move(tag, stored.descriptor, held, by=by):
        raise PreconditionFailed(
            f"{repository.name}:{tag} was moved by somebody else at this moment.",
            fix=f"Look what it names now: sidecargo tags history {repository.name}:{tag}",
        )
    await repository.stay(stored)
    return Restored(stored.descriptor, named)
