"""From a reference in a path to what the gate found there."""

from __future__ import annotations

from registry.api.call import Call
from registry.publish import refusals
from registry.publish.plugins import Plugin
from registry.web import pages
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestUnknown
from storage.manifest import Descriptor


async def plugin(call: Call) -> tuple[Descriptor, Witness | None, Plugin]:
    """The manifest that the path names and its findings; raises ManifestUnknown where either is missing.

    Where nothing is stored because a push was refused, that is said.
    """
    reference = call.reference()
    try:
        descriptor, witness = await call.find(reference)
    except ManifestUnknown as unknown:
        refusal = await refusals.find(call.repository, reference)
        if refusal is None or refusal.warned:
            raise
        which = "Its last push" if refusal.direct else "A push by digest"
        separator = "@" if isinstance(reference, Digest) else ":"
        asked = f"{pages.host(call)}/{call.repository.name}{separator}{reference}"
        raise ManifestUnknown(
            unknown.message, fix=f"{which} was refused: sidecargo why {asked}", detail=unknown.detail
        ) from None
    try:
        return descriptor, witness, await of(call, descriptor)
    except ManifestUnknown:
        if isinstance(reference, Digest):
            raise
        # As for manifests: what a remembered tag named may be deleted, while it names another one.
        repository = call.services.store.repository(call.repository.name)
        descriptor, witness = await call.find(reference, repository)
        return descriptor, witness, await of(call, descriptor)


async def of(call: Call, descriptor: Descriptor) -> Plugin:
    """The findings on a manifest of the call's repository; raises ManifestUnknown where there are none."""
    found = await call.services.examiner.plugin(call.repository, descriptor)
    if found is None:
        raise missing(call, descriptor)
    return found


def named(call: Call) -> str:
    """What fixes call the image that the path names, `HOST/REPO:TAG`: what is mended has another digest."""
    reference = call.reference()
    tag = "TAG" if isinstance(reference, Digest) else reference
    return f"{pages.host(call)}/{call.repository.name}:{tag}"


def missing(call: Call, descriptor: Descriptor) -> ManifestUnknown:
    """What is said of a manifest that holds no plugin, or not all of it."""
    return ManifestUnknown(
        f"{call.repository.name}@{descriptor.digest} is no plugin, or parts of it are not here.",
        fix="Push the plugin's image again.",
    )
