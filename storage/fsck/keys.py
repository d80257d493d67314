"""Keys read back: which object of a store a key is, as the builders of `storage.paths` make it.

A key is read by taking it apart, and by building it again out of its parts: whatever no builder makes is
no place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage import names, paths
from storage.digest import Digest
from storage.errors import DigestInvalid, NameInvalid

_QUOTA = re.compile(r"[0-9a-f]{16}")
_UPLOAD = re.compile(r"sha(?:256|512)-[0-9a-f]{32}\.[0-9a-f]{16}")

SINGLE = (paths.FORMAT, paths.COLLECTED, paths.CHECKED, paths.ANNOUNCED)
"""The objects at the root."""

FOLDERS = (
    paths.CONTENT,
    paths.CATALOG,
    paths.REPOSITORIES,
    paths.UPLOADS,
    paths.REFUSALS,
    paths.URLS,
    paths.QUOTAS,
    paths.PULLS,
)
"""The folders at the root in which every object is a place."""

_BESIDE = {paths.REFUSALS: paths.refusal, paths.URLS: paths.url, paths.PULLS: paths.pulls}
"""Of the folders whose objects belong to a repository and lie beside it, the builders of their keys."""

ASIDE = ("temp", "locks", "private", paths.TRASH)
"""What is at the root for other reasons: what writers need for a moment, keys, the trash."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Content by its digest."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Link:
    """Membership of a blob in a repository; `ends`: garbage collection is about to end it."""

    repository: str
    digest: Digest
    ends: bool = False


@dataclass(frozen=True, slots=True)
class ManifestAt:
    """A manifest of a repository."""

    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a repository."""

    repository: str
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """What says that `digest` refers to `subject`."""

    repository: str
    subject: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class DerivedFrom:
    """What was derived from a manifest."""

    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """What says that a repository is here."""

    repository: str


@dataclass(frozen=True, slots=True)
class Other:
    """An object of which nothing more need be known: an upload, a refusal, URLs, pulls, a sum, a time."""


Place = Bytes | Link | ManifestAt | Tag | Row | DerivedFrom | Entry | Other


def read(key: str) -> Place | None:
    """Which object a key is; None where no builder makes such a key."""
    try:
        return _read(key)
    except (NameInvalid, DigestInvalid):
        return None


def _read(key: str) -> Place | None:
    top, _, rest = key.partition("/")
    if key in SINGLE or (top == paths.UPLOADS and _UPLOAD.fullmatch(rest)):
        return Other()
    if top == paths.QUOTAS:
        return Other() if _QUOTA.fullmatch(rest) else None
    if top == paths.CONTENT:
        algorithm, _, name = rest.partition("/")
        content = Bytes(Digest.parse(f"{algorithm}:{name.rpartition('/')[2]}"))
        return content if paths.blob(content.digest) == key else None
    if top == paths.CATALOG:
        repository = names.repository(paths.catalog_repository(rest))
        return Entry(repository) if paths.catalog(repository) == key else None
    if top in _BESIDE:
        said, reference = paths.beside(key)
        repository = names.repository(said)
        if top == paths.PULLS:
            Digest.parse(reference)
        made = reference and "/" not in reference and _BESIDE[top](repository, reference) == key
        return Other() if made else None
    return _owned(key)


def _owned(key: str) -> Place | None:
    own = paths.owned(key)
    if own is None or not key.startswith(f"{paths.REPOSITORIES}/"):
        return None
    repository = names.repository(own.repository)
    if own.folder == "tags":
        tag = names.tag(own.name)
        return Tag(repository, tag) if paths.tag(repository, tag) == key else None
    if own.folder == "referrers":
        subject_name, _, name = own.name.rpartition("/")
        row = Row(repository, _digest(subject_name), Digest.parse(name))
        return row if paths.referrer(repository, row.subject, row.digest) == key else None
    if own.folder == "parents":
        child_name, _, name = own.name.rpartition("/")
        made = paths.parent(repository, _digest(child_name), Digest.parse(name))
        return Other() if made == key else None
    return _by_digest(key, repository, _digest(own.name))


def _by_digest(key: str, repository: str, digest: Digest) -> Place | None:
    made: dict[str, Place] = {
        paths.blob_link(repository, digest): Link(repository, digest),
        paths.unlinked(repository, digest): Link(repository, digest, ends=True),
        paths.manifest(repository, digest): ManifestAt(repository, digest),
        paths.derived(repository, digest): DerivedFrom(repository, digest),
    }
    return made.get(key)


def _digest(name: str) -> Digest:
    return Digest.parse(name.replace("/", ":", 1))
