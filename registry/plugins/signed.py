"""Whether a manifest is signed, by whom, and what else refers to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.publish import ours
from registry.publish.ours import Bundle
from registry.signing import cosign
from registry.signing.admission import ADMITTED
from registry.signing.bundle import SIGNED
from registry.signing.ring import KeyRing
from storage.digest import Digest
from storage.manifest import Descriptor
from storage.repositories import Repository

MOST = 16
"""How many referrers are named."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What of ours signs a manifest: `key` is the id of the key, of several that which counts most.

    `tag` is cosign's, where it names signatures; `others` are those there that are not ours. `bundled` says
    whether there is a bundle too; `admission` is what was said of its push. `referrers` are the kinds of all
    that refers to it.
    """

    key: str | None
    tag: str | None
    others: int
    bundled: bool
    admission: Mapping[str, Any] | None
    referrers: tuple[Descriptor, ...]

    @property
    def ours(self) -> bool:
        """Whether this registry signed it."""
        return self.key is not None

    def to_json(self, why: str) -> dict[str, Any]:
        """The state as the report has it; `why` says why it is not signed, where it is not."""
        return {
            "signed": self.ours,
            "key": self.key,
            "tag": self.tag,
            "others": self.others,
            "bundled": self.bundled,
            "admission": self.admission,
            "why_not": None if self.ours else why,
            "referrers": [
                {"type": row.artifact_type or row.media_type, "digest": str(row.digest)}
                for row in self.referrers
            ],
        }


async def look(repository: Repository, digest: Digest, ring: KeyRing) -> Signed:
    """What signs a manifest; each of ours is verified with the keys, from what is stored now."""
    known, (rows, _) = await asyncio.gather(
        ours.look(repository, digest, ring), repository.referrers.page(digest)
    )
    signatures = [one for one in known.bundles if one.statement.kind == SIGNED]
    signers = {key.key_id for _, key in known.layers} | {one.key_id for one in signatures}
    return Signed(
        key=next((key.key_id for key in ring if key.key_id in signers), None),
        tag=cosign.signature_tag(digest) if known.layers or known.other_layers else None,
        others=known.other_layers,
        bundled=bool(signatures),
        admission=_admission(known.bundles),
        referrers=tuple(rows[:MOST]),
    )


def _admission(bundles: Sequence[Bundle]) -> Mapping[str, Any] | None:
    """What was said last of a push."""
    said = [one.statement.predicate for one in bundles if one.statement.kind == ADMITTED]
    return max(said, key=lambda one: str((one.get("pushed") or {}).get("at", "")), default=None)
