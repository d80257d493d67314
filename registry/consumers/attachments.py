"""Manifests that are about an image, and no image: signatures, attestations, SBOMs.

They are told by their content alone. A subject or the name of a tag exempts nothing: an agent
resolves those as well as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from registry.consumers.istio import RUNNABLE_TYPES
from storage.manifest import EMPTY_JSON, Descriptor, Manifest

# Types of layers that no consumer takes for a plugin. None of them may be in RUNNABLE_TYPES.
LAYER_TYPES = frozenset(
    (
        EMPTY_JSON,
        "application/vnd.in-toto+json",
        "application/vnd.dsse.envelope.v1+json",
        "application/vnd.dev.cosign.simplesigning.v1+json",
        "application/vnd.dev.sigstore.bundle+json",
        "application/jose+json",
        "application/cose",
        "application/spdx+json",
        "text/spdx",
        "text/spdx+json",
        "text/spdx+xml",
        "application/vnd.cyclonedx",
        "application/vnd.cyclonedx+json",
        "application/vnd.cyclonedx+xml",
        "application/vnd.syft+json",
        "application/sarif+json",
    )
)
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle\.v\d+(\.\d+)*\+json")
_IMAGE_CONFIGS = frozenset(
    ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
)


def is_attachment(
    manifest: Manifest, is_attached: Callable[[Descriptor], bool] = lambda _child: False
) -> bool:
    """Whether nothing in a manifest could be taken for a plugin, so that it need not load.

    An image manifest: each of its layers has a type of the table. Without layers it is an attachment
    unless its config makes it an image. An index, such as the one by which tools without the
    referrers API list them: it has children, and `is_attached` says of each that what is stored
    under its digest is an attachment; what the index itself says of a child is not trusted.
    """
    if manifest.is_index:
        return bool(manifest.manifests) and all(is_attached(entry) for entry in manifest.manifests)
    config = manifest.config.media_type if manifest.config else ""
    if config in RUNNABLE_TYPES:  # the agent goes by a config's type where a layer has the same digest
        return False
    if not manifest.layers:
        return config not in _IMAGE_CONFIGS
    return all(_exempt(entry.media_type) for entry in manifest.layers)


def _exempt(media_type: str) -> bool:
    bare = media_type.partition(";")[0].strip().lower()
    return bare in LAYER_TYPES or _BUNDLE.fullmatch(bare) is not None
