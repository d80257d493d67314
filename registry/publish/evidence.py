"""What is stored that may be a signature of a manifest, one after another, each with what makes it true."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from registry.publish import ours
from registry.signing import bundle, cosign
from registry.signing.bundle import BUNDLE_TYPE
from registry.signing.verification import LARGEST_PAYLOAD, MOST, Candidate
from storage import manifest as manifests
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.repositories import Repository


@dataclass(frozen=True, slots=True)
class Evidence:
    """A candidate, which is there while the `witness` holds."""

    candidate: Candidate
    witness: Witness


async def find(repository: Repository, digest: Digest) -> AsyncGenerator[Evidence, None]:
    """Signatures under cosign's tag, then bundles, MOST of each.

    Raises StoreUnavailable at the end, where something could not be read: the others may do.
    """
    failure: StoreUnavailable | None = None
    for look in (_under_tag, _bundles):
        async for one in look(repository, digest):
            if isinstance(one, Evidence):
                yield one
            else:
                failure = one
    if failure:
        raise failure


async def _under_tag(repository: Repository, digest: Digest) -> AsyncIterator[Evidence | StoreUnavailable]:
    try:
        named, witness = await repository.tags.resolve(cosign.signature_tag(digest))
        stored = await repository.get(named.digest)
        found = manifests.parse(stored.body, stored.descriptor.media_type)
    except (ManifestUnknown, ManifestInvalid):
        return
    except StoreUnavailable as error:
        yield error
        return
    layers = [one for one in found.layers if one.media_type == cosign.PAYLOAD_TYPE]
    for layer in layers[:MOST]:
        try:
            data = await ours.small(repository, layer.digest, LARGEST_PAYLOAD)
        except StoreUnavailable as error:
            yield error
        else:
            signature = layer.annotations.get(cosign.SIGNATURE, "")
            yield Evidence(Candidate("tag", named.digest, data, signature), witness)


async def _bundles(repository: Repository, digest: Digest) -> AsyncIterator[Evidence | StoreUnavailable]:
    looked, after, more = 0, "", True
    while more and looked < MOST:
        rows, after = await repository.referrers.page(digest, after=after, looks=False)
        more = bool(after)
        for row in [row for row in rows if row.artifact_type == BUNDLE_TYPE][: MOST - looked]:
            looked += 1
            try:
                yield await _bundle(repository, row.digest)
            except (ManifestUnknown, ManifestInvalid):
                continue
            except StoreUnavailable as error:
                yield error


async def _bundle(repository: Repository, digest: Digest) -> Evidence:
    _, witness = await repository.find(digest)
    stored = await repository.get(digest)
    layers = manifests.parse(stored.body, stored.descriptor.media_type).layers
    data = await ours.small(repository, layers[0].digest, bundle.LARGEST) if len(layers) == 1 else b""
    return Evidence(Candidate("bundle", digest, data), witness)
