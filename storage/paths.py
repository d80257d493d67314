"""Keys: the one place that builds them. The same tree on disk and in S3, readable by a person.

    format                                           {"format": 2}; `storage.formats` says more
    catalog/<repository>                             one object a repository, "/" written as "."
    blobs/<algorithm>/<2 hex>/<hex>                  bytes by digest: blobs and modules
    uploads/<id>.<hash of repository>                what an upload has received: <id> of another
                                                     repository is another key
    gc                                               when the last garbage collection began
    fsck                                             how far a check of the content is that was interrupted
    trash/<key>                                      what garbage collection took away, as it was
    trash/damaged/<key>                              what was wrong, and is never put back by itself
    refusals/<repository>/<reference>                why a push was refused: by tag, by digest, and the
                                                     last one by digest; "/" written as "."
    urls/<repository>/<reference>                    URLs that were given out of a tag or a digest; "/"
                                                     written as "."
    pulls/<repository>/<digest>                      who pulled a manifest last; "/" written as "."
    announced                                        when what expires was announced last
    quotas/<quota>                                   how many bytes the repositories of a quota have
    repositories/<repository>/
        _blobs/<algorithm>/<hex>                     membership of a blob: {"size": …}; in a line after it
                                                     its bytes, where they are few
        _unlinked/<algorithm>/<hex>                  the same of a blob that nothing named: it is about to
                                                     go, a manifest that names it brings it back
        _manifests/<algorithm>/<hex>                 a manifest: its descriptor, and in a line after it
                                                     the manifest as it was pushed
        _tags/<tag>                                  the descriptor that the tag names, and in a line each
                                                     what it named before
        _referrers/<algorithm>/<hex>/<digest>        descriptor of a manifest whose subject is <hex>
        _parents/<algorithm>/<hex>/<digest>          an index that names <hex>, where somebody asks for that
        _derived/<algorithm>/<hex>                   what was derived from a manifest

Folders of a repository begin with "_", which no segment of a name can: the repository `a/tags` does
not meet the tags of `a`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from storage.digest import Digest

FORMAT = "format"
CATALOG = "catalog"
UPLOADS = "uploads"
REFUSALS = "refusals"
URLS = "urls"
PULLS = "pulls"
REPOSITORIES = "repositories"
CONTENT = "blobs"
COLLECTED = "gc"
CHECKED = "fsck"
ANNOUNCED = "announced"
QUOTAS = "quotas"
TRASH = "trash"

# Byte order of the encoded names is byte order of the names: - . / sort like + , . before digits.
_ENCODE = str.maketrans("-./", "+,.")
_DECODE = str.maketrans("+,.", "-./")


@dataclass(frozen=True, slots=True)
class Owned:
    """What a repository's key is made of: `folder` without its "_", `name` is what follows it."""

    repository: str
    folder: str
    name: str


def catalog(repository: str) -> str:
    """The object that says that a repository is here."""
    return f"{CATALOG}/{catalog_name(repository)}"


def catalog_name(repository: str) -> str:
    """A repository's name as one segment that sorts as the name does."""
    return repository.translate(_ENCODE)


def catalog_repository(name: str) -> str:
    """The repository that `catalog_name` wrote as `name`."""
    return name.translate(_DECODE)


def blob(digest: Digest) -> str:
    """Content, shared by all repositories."""
    return f"{CONTENT}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def blob_folders(algorithm: str) -> list[str]:
    """The folders of content by this algorithm."""
    return [f"{CONTENT}/{algorithm}/{number:02x}" for number in range(256)]


def upload(repository: str, upload_id: str) -> str:
    """What an upload has received."""
    return f"{UPLOADS}/{upload_id}.{hashlib.sha256(repository.encode()).hexdigest()[:16]}"


def refusals(repository: str) -> str:
    """The folder of what was refused of a repository, which need not be here."""
    return f"{REFUSALS}/{catalog_name(repository)}"


def refusal(repository: str, reference: str) -> str:
    """Why the push of a reference was refused."""
    return f"{refusals(repository)}/{reference}"


def urls(repository: str) -> str:
    """The folder of the URLs that were given out of a repository."""
    return f"{URLS}/{catalog_name(repository)}"


def url(repository: str, reference: str) -> str:
    """The URLs that were given out of a tag or a digest."""
    return f"{urls(repository)}/{reference}"


def quota(name: str) -> str:
    """How many bytes the repositories of a quota have; `name` is of hexadecimal digits."""
    return f"{QUOTAS}/{name}"


def pulls(repository: str, digest: str) -> str:
    """Who pulled a manifest last."""
    return f"{PULLS}/{catalog_name(repository)}/{digest}"


def beside(key: str) -> tuple[str, str]:
    """The repository and the reference, as written, of a key as `refusal`, `url` and `pulls` make them."""
    _, _, rest = key.partition("/")
    name, _, reference = rest.partition("/")
    return catalog_repository(name), reference


def pulled(key: str) -> tuple[str, str] | None:
    """The repository and the digest, as written, that `pulls` made a key of; None for another key."""
    repository, digest = beside(key)
    return (repository, digest) if key.startswith(f"{PULLS}/") and repository and digest else None


def blob_link(repository: str, digest: Digest) -> str:
    """Membership of a blob in a repository."""
    return f"{_own(repository)}/_blobs/{digest.algorithm}/{digest.hex}"


def unlinked(repository: str, digest: Digest) -> str:
    """Membership of a blob that is about to end."""
    return f"{_own(repository)}/_unlinked/{digest.algorithm}/{digest.hex}"


def manifests(repository: str, algorithm: str) -> str:
    """The folder of a repository's manifests whose digests are by this algorithm."""
    return f"{_own(repository)}/_manifests/{algorithm}"


def manifest(repository: str, digest: Digest) -> str:
    """A manifest of a repository."""
    return f"{manifests(repository, digest.algorithm)}/{digest.hex}"


def tags(repository: str) -> str:
    """The folder of a repository's tags."""
    return f"{_own(repository)}/_tags"


def tag(repository: str, name: str) -> str:
    """What a tag names."""
    return f"{tags(repository)}/{name}"


def referrers(repository: str, subject: Digest) -> str:
    """The folder of what refers to a manifest."""
    return f"{_own(repository)}/_referrers/{subject.algorithm}/{subject.hex}"


def referrer(repository: str, subject: Digest, digest: Digest) -> str:
    """One manifest that refers to another."""
    return f"{referrers(repository, subject)}/{digest}"


def parents(repository: str, child: Digest) -> str:
    """The folder of the indexes that name a manifest."""
    return f"{_own(repository)}/_parents/{child.algorithm}/{child.hex}"


def parent(repository: str, child: Digest, index: Digest) -> str:
    """One index that names a manifest."""
    return f"{parents(repository, child)}/{index}"


def derived(repository: str, digest: Digest) -> str:
    """What was derived from a manifest of a repository."""
    return f"{_own(repository)}/_derived/{digest.algorithm}/{digest.hex}"


def owned(key: str) -> Owned | None:
    """What a key of a repository is made of; None for any other key."""
    own, _, rest = key.partition("/_")
    repository, folder, name = own.removeprefix(f"{REPOSITORIES}/"), *rest.partition("/")[::2]
    return Owned(repository, folder, name) if own != repository and name else None


def repository_folder(repository: str, folder: str) -> str:
    """A folder of a repository, by the name that `owned` gives it."""
    return f"{_own(repository)}/_{folder}"


def trash(key: str) -> str:
    """Where garbage collection puts what lay under a key."""
    return f"{TRASH}/{key}"


def damaged(key: str) -> str:
    """Where a check puts what was wrong under a key."""
    return trash(f"damaged/{key}")


def trashed(key: str) -> str:
    """The key that `trash` was given."""
    return key.removeprefix(f"{TRASH}/")


def _own(repository: str) -> str:
    return f"{REPOSITORIES}/{repository}"
