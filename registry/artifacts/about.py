"""What an image says about itself, and what of it still holds for the image that its module is wrapped in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.manifest import DOCKER_MANIFEST, Manifest

CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
MAX_CONFIG = 1 << 20
_MOST = 64 << 10
_OCI = "org.opencontainers.image."
# image-spec annotations.md: those about the plugin. The others are about the artifact that it came
# in: its base, its name, the second in which it was made (oras writes one, so each push would differ).
_OF_THE_PLUGIN = frozenset(
    _OCI + name
    for name in (
        "authors",
        "description",
        "documentation",
        "licenses",
        "revision",
        "source",
        "title",
        "url",
        "vendor",
        "version",
    )
)
_OF_THE_CARRIER = ("io.containerd.", "com.docker.", "vnd.docker.", "dev.sigstore.", "dev.cosignproject.")

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class About:
    """Annotations for the manifest, labels for the config."""

    annotations: Texts = field(default_factory=dict)
    labels: Texts = field(default_factory=dict)


def read_about(manifest: Manifest, config: bytes) -> About:
    """What an image says that stays true; labels of a `config` that is none are left out."""
    annotations = manifest.annotations if manifest.media_type != DOCKER_MANIFEST else {}
    return About(_kept(annotations), _kept(_labels(config)))


def _labels(config: bytes) -> Texts:
    try:
        labels = json.loads(config)["config"]["Labels"]
        labels.items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {key: value for key, value in labels.items() if isinstance(value, str)}


def _kept(texts: Texts) -> Texts:
    kept = {
        key: value
        for key, value in sorted(texts.items())
        if key in _OF_THE_PLUGIN or not key.startswith((_OCI, *_OF_THE_CARRIER))
    }
    # Manifests are small: what describes a plugin by more than that is not kept at all.
    return kept if sum(len(key) + len(value) for key, value in kept.items()) <= _MOST else {}
