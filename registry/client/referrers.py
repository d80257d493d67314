"""Manifests with a subject: those that a registry has, and adding one (OCI Distribution 1.1).

Where a registry has no referrers API, an index under the tag `ALGORITHM-HEX` of the subject stands for it
("Referrers Tag Schema"), and who pushes a referrer keeps that index.
"""

from __future__ import annotations

import json
from typing import Any

from registry.client.copying import Copier, Place, read, taking
from registry.client.remote import Fetched
from registry.client.transport import RemoteError
from storage.digest import Digest
from storage.manifest import OCI_INDEX, Descriptor

MAX_PAGES = 100


def find(place: Place, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests of a repository whose subject is `subject`; raises RemoteError or Failure."""
    found: dict[Digest, Descriptor] = {}
    page = ""
    for _ in range(MAX_PAGES):
        fetched, page = place.remote.referrers_page(place.repository, subject, page)
        if fetched is None:
            fetched = _index(place, subject)
        if fetched is not None:
            found |= {entry.digest: entry for entry in read(fetched, str(place)).manifests}
        if not page:
            return tuple(found.values())
    raise RemoteError(f"{place}@{subject} has more than {MAX_PAGES} pages of referrers.")


def copy(copier: Copier, subject: Digest, entry: Descriptor) -> None:
    """Copy a referrer with its blobs, and keep the index where the destination keeps none by itself."""
    fetched = copier.source.remote.manifest(copier.source.repository, entry.digest)
    copier.blobs(read(fetched, str(copier.source)).blobs(), lambda _: None)
    stored = copier.manifest(fetched, entry.digest)
    if not stored.as_referrer:
        _note(copier.destination, subject, entry)


def _note(place: Place, subject: Digest, entry: Descriptor) -> None:
    """Add a referrer to the index, which another tool may be changing too: that is known of this schema."""
    with taking():
        fetched = _index(place, subject)
        kept = _entries(fetched, place) if fetched else []
        if any(one.get("digest") == str(entry.digest) for one in kept):
            return
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, entry.to_json()]}
        body = json.dumps(document, separators=(",", ":")).encode()
        place.remote.put_manifest(place.repository, _tag(subject), body, OCI_INDEX)


def _index(place: Place, subject: Digest) -> Fetched | None:
    try:
        return place.remote.manifest(place.repository, _tag(subject))
    except RemoteError as error:
        if error.status == 404:
            return None
        raise


def _entries(fetched: Fetched, place: Place) -> list[dict[str, Any]]:
    """The entries of an index as they stand there: whatever others wrote stays."""
    if not read(fetched, str(place)).is_index:
        raise RemoteError(f"{place}: the tag for referrers names no index.")
    found: list[dict[str, Any]] = json.loads(fetched.body)["manifests"]
    return found


def _tag(subject: Digest) -> str:
    return f"{subject.algorithm}-{subject.hex}"
