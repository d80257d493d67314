"""From a reference in a path to what the gate found there."""

from __future__ import annotations

from registry.api.call import Call
from registry.publish.plugins import Plugin
from storage.driver import Witness
from storage.errors import ManifestUnknown
from storage.manifest import Descriptor


async def plugin(call: Call) -> tuple[Descriptor, Witness, Plugin]:
    """The manifest that the path names and its findings; raises ManifestUnknown where either is missing."""
    descriptor, witness = await call.repository.find(call.reference())
    return descriptor, witness, await of(call, descriptor)


async def of(call: Call, descriptor: Descriptor) -> Plugin:
    """The findings on a manifest of the call's repository; raises ManifestUnknown where there are none."""
    found = await call.services.examiner.plugin(call.repository, descriptor)
    if found is None:
        raise missing(call, descriptor)
    return found


def missing(call: Call, descriptor: Descriptor) -> ManifestUnknown:
    """What is said of a manifest that holds no plugin, or not all of it."""
    return ManifestUnknown(
        f"{call.repository.name}@{descriptor.digest} is no plugin, or parts of it are not here.",
        fix="Push the plugin's image again.",
    )
