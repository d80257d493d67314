"""What a registry holds that may be a signature of a manifest: under cosign's tag, and as bundles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry.client import referrers
from registry.client.copying import Place, read
from registry.client.remote import Fetched
from registry.client.transport import RemoteError
from registry.signing import bundle, cosign
from registry.signing.verification import LARGEST_PAYLOAD, MOST, Candidate
from storage.digest import Digest
from storage.manifest import Descriptor

# cosign 3: `application/vnd.dev.sigstore.bundle.v0.3+json`, whatever its version.
BUNDLES = "application/vnd.dev.sigstore.bundle"


@dataclass(frozen=True, slots=True)
class Evidence:
    """`tagged` is the manifest under cosign's tag, if there is one; `candidates` is all that was found."""

    tagged: Digest | None
    candidates: tuple[Candidate, ...]


def find(place: Place, signed: Digest) -> Evidence:
    """What may sign a manifest, MOST of each form; raises RemoteError or Failure for what cannot be read.

    What is named and not here is a candidate too, which says so.
    """
    tagged = under_tag(place, cosign.signature_tag(signed))
    found = list(_layers(place, tagged)) if tagged else []
    entries = [one for one in referrers.find(place, signed) if one.artifact_type.startswith(BUNDLES)]
    found += (_bundle(place, entry) for entry in entries[:MOST])
    return Evidence(tagged.digest if tagged else None, tuple(found))


def under_tag(place: Place, tag: str) -> Fetched | None:
    """The manifest under a tag of cosign's; None where there is none."""
    try:
        return place.remote.manifest(place.repository, tag)
    except RemoteError as error:
        if error.status == 404:
            return None
        raise


def _layers(place: Place, tagged: Fetched) -> Iterable[Candidate]:
    layers = [one for one in read(tagged, str(place)).layers if one.media_type == cosign.PAYLOAD_TYPE]
    for layer in layers[:MOST]:
        signature = layer.annotations.get(cosign.SIGNATURE, "")
        data, absent = _content(place, layer, LARGEST_PAYLOAD)
        yield Candidate("tag", tagged.digest, data, signature, absent)


def _bundle(place: Place, entry: Descriptor) -> Candidate:
    try:
        fetched = place.remote.manifest(place.repository, entry.digest)
    except RemoteError as error:
        if error.status != 404:
            raise
        return Candidate("bundle", entry.digest, absent="its manifest is not here.")
    layers = read(fetched, str(place)).layers
    if len(layers) != 1:
        return Candidate("bundle", entry.digest, absent="its manifest does not name one bundle.")
    data, absent = _content(place, layers[0], bundle.LARGEST)
    return Candidate("bundle", entry.digest, data, absent=absent)


def _content(place: Place, blob: Descriptor, most: int) -> tuple[bytes, str]:
    """A blob, or why it is not to be had."""
    if blob.size > most:
        return b"", f"it has {blob.size} bytes, and none has more than {most}."
    try:
        return b"".join(place.remote.blob(place.repository, blob)), ""
    except RemoteError as error:
        if error.status != 404:
            raise
        return b"", "what it signs is not here."
