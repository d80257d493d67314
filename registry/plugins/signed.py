"""Whether a manifest is signed, by whom, and what else refers to it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from registry.signing import cosign
from registry.signing.cosign import SignatureInvalid
from registry.signing.keys import key_id, load_public
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import BlobUnknown, ManifestUnknown
from storage.manifest import Descriptor
from storage.repositories import Repository

MOST = 16
"""How many signatures, and how many referrers, are looked at."""
_MAX_PAYLOAD = 16 << 10


@dataclass(frozen=True, slots=True)
class Signed:
    """The signatures under cosign's tag that are ours and those that are not, and the kinds of referrers."""

    key: str
    tag: str
    ours: bool
    others: int
    referrers: tuple[Descriptor, ...]

    def to_json(self, why: str) -> dict[str, Any]:
        """The state as the report has it; `why` says why it is not signed, where it is not."""
        return {
            "signed": self.ours,
            "key": self.key if self.ours else None,
            "tag": self.tag if self.ours or self.others else None,
            "others": self.others,
            "why_not": None if self.ours else why,
            "referrers": [
                {"type": row.artifact_type or row.media_type, "digest": str(row.digest)}
                for row in self.referrers
            ],
        }


async def look(repository: Repository, digest: Digest, public_pem: str) -> Signed:
    """What signs a manifest; each of ours is verified with the key, from what is stored now."""
    pem, tag = public_pem.encode(), cosign.signature_tag(digest)
    layers, (rows, _) = await asyncio.gather(_signatures(repository, tag), repository.referrers.page(digest))
    ours = [await _is_ours(repository, layer, pem, digest) for layer in layers[:MOST]]
    return Signed(
        key=key_id(load_public(pem)),
        tag=tag,
        ours=any(ours),
        others=len(layers) - sum(ours),
        referrers=tuple(rows[:MOST]),
    )


async def _signatures(repository: Repository, tag: str) -> list[Descriptor]:
    with contextlib.suppress(ManifestUnknown):
        stored = await repository.get(tag)
        found = manifests.parse(stored.body, stored.descriptor.media_type)
        return [layer for layer in found.layers if layer.media_type == cosign.PAYLOAD_TYPE]
    return []


async def _is_ours(repository: Repository, layer: Descriptor, pem: bytes, digest: Digest) -> bool:
    signature = layer.annotations.get(cosign.SIGNATURE, "")
    with contextlib.suppress(BlobUnknown, SignatureInvalid):
        blob = await repository.blobs.open(layer.digest)
        if blob.size <= _MAX_PAYLOAD:
            payload = b"".join([piece async for piece in repository.blobs.read(blob)])
            cosign.verify(payload, signature, pem, digest)
            return True
    return False
