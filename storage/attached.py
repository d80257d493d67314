"""What belongs to a manifest by the name of its tag: signatures and the like of tools that know no referrers.

cosign's signature of `sha256:<hex>` has the tag `sha256-<hex>.sig`, attestations `.att`, SBOMs `.sbom`
(cosign pkg/oci/remote/remote.go); without the referrers API, clients list referrers under `sha256-<hex>`
(OCI Distribution 1.1, "Referrers Tag Schema", which cuts a digest to 64 digits: sha512's are longer).
"""

from __future__ import annotations

import re

from storage.digest import Digest

_SUFFIXES = ("", ".sig", ".att", ".sbom")
_TAG = re.compile(r"(sha(?:256|512)-[0-9a-f]{64})(?:\.sig|\.att|\.sbom)?")


def stem(subject: Digest) -> str:
    """What the tags of all that belongs to a manifest begin with."""
    return f"{subject.algorithm}-{subject.hex[:64]}"


def tags(subject: Digest) -> list[str]:
    """The tags of what belongs to a manifest."""
    return [stem(subject) + suffix for suffix in _SUFFIXES]


def stem_of(tag: str) -> str | None:
    """What the tags of all that belongs to the same manifest begin with; None for a tag of another kind."""
    found = _TAG.fullmatch(tag)
    return found[1] if found else None
