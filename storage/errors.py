"""What can go wrong, as types: each has the spec's code, a message for its reader, and a fix.

    RegistryError
    ├── NameInvalid  NameUnknown
    ├── DigestInvalid  SizeInvalid
    ├── BlobUnknown  BlobUploadUnknown  BlobUploadInvalid
    ├── UploadOutOfOrder  RangeNotSatisfiable
    ├── ManifestUnknown  ManifestInvalid  ManifestBlobUnknown  ManifestTooLarge
    ├── Unauthorized  Denied  TagImmutable  QuotaExceeded  PreconditionFailed
    ├── Unsupported  PageInvalid  ParameterInvalid
    ├── BodyTooLarge  BodyTimeout  Busy  IssuerUnavailable  CheckFailed
    └── StoreError
        ├── StoreFull
        ├── StoreUnavailable
        └── FormatUnknown  FormatOutdated

The codes are those of OCI Distribution 1.1, "Error Codes"; how a type becomes an HTTP status is
decided in one table, `registry/api/errors.py`.
"""

from __future__ import annotations

from collections.abc import Sequence


class RegistryError(Exception):
    """A failure that its reader can act on.

    `message` says what is wrong, `fix` what to do about it (may be empty), `detail` holds what a
    program may want to read.
    """

    code = "UNSUPPORTED"

    def __init__(self, message: str, *, fix: str = "", detail: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()


class Unusable(Exception):
    """Something that a server is started with and cannot work with; never shows what was read of it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


class NameInvalid(RegistryError):
    """A repository name or a tag that the spec's grammar does not allow."""

    code = "NAME_INVALID"


class NameUnknown(RegistryError):
    """A repository that is not here."""

    code = "NAME_UNKNOWN"


class DigestInvalid(RegistryError):
    """A digest that cannot be read, or content that does not hash to it."""

    code = "DIGEST_INVALID"


class SizeInvalid(RegistryError):
    """A body of another length than was announced."""

    code = "SIZE_INVALID"


class BlobUnknown(RegistryError):
    """A blob that the repository does not have."""

    code = "BLOB_UNKNOWN"


class BlobUploadUnknown(RegistryError):
    """An upload session that is not here, or belongs to another repository."""

    code = "BLOB_UPLOAD_UNKNOWN"


class BlobUploadInvalid(RegistryError):
    """An upload request that contradicts itself."""

    code = "BLOB_UPLOAD_INVALID"


class UploadOutOfOrder(BlobUploadInvalid):
    """A chunk that does not continue where the session stands; `offset` is where it does."""

    def __init__(self, message: str, *, offset: int, fix: str = "") -> None:
        super().__init__(message, fix=fix, detail={"offset": offset})
        self.offset = offset


class RangeNotSatisfiable(RegistryError):
    """A requested range that lies outside the content of `size` bytes."""

    code = "SIZE_INVALID"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message, detail={"size": size})
        self.size = size


class ManifestUnknown(RegistryError):
    """A manifest that the repository does not have."""

    code = "MANIFEST_UNKNOWN"


class ManifestInvalid(RegistryError):
    """A manifest that is malformed, contradicts itself, or would not load."""

    code = "MANIFEST_INVALID"


_DETAILED = 100
_SHOWN = 3
_HEX_SHOWN = 12


class ManifestBlobUnknown(RegistryError):
    """A manifest that names content which the repository does not have.

    Digests are shortened in the message, so that it and its fix fit in what docker shows; `detail` has them
    whole. `reason` with its fix is why it is not here, where that is known: it is said instead.
    """

    code = "MANIFEST_BLOB_UNKNOWN"

    def __init__(self, missing: Sequence[str], *, reason: str = "", fix: str = "") -> None:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        shown = ", ".join(map(_shortened, missing[:_SHOWN])) + more
        super().__init__(
            reason or f"the manifest names content that is not in this repository: {shown}.",
            fix=fix if reason else "Push it first, then the manifest.",
            detail=[{"digest": digest} for digest in missing[:_DETAILED]],
        )
        self.missing = tuple(missing)


def _shortened(digest: str) -> str:
    algorithm, _, hexadecimal = digest.partition(":")
    return f"{algorithm}:{hexadecimal[:_HEX_SHOWN]}"


class ManifestTooLarge(ManifestInvalid):
    """A manifest over the configured limit."""


class Unauthorized(RegistryError):
    """A request without a login, or with one that is not right.

    `reason` is the error of RFC 6750 that a token has; `challenge` is what is asked for.
    """

    code = "UNAUTHORIZED"

    def __init__(self, message: str, *, fix: str = "", reason: str = "") -> None:
        super().__init__(message, fix=fix)
        self.reason = reason
        self.challenge = ""


class IssuerUnavailable(RegistryError):
    """Somebody is known elsewhere, and there nobody answers."""

    code = "UNAVAILABLE"


class Denied(RegistryError):
    """A request that this principal may not make."""

    code = "DENIED"


class TagImmutable(Denied):
    """A tag that never names something else, asked to."""


class QuotaExceeded(Denied):
    """Bytes that would go beyond what some repositories may hold together.

    `size` is what was to be added to what is `used`; it is refused for as long as that does not change, so
    clients are not to send it again by themselves.
    """

    def __init__(self, repositories: str, *, allowed: int, used: int, size: int) -> None:
        super().__init__(
            f"the quota of {repositories} is {spoken(allowed)} and {spoken(used)} are used: "
            f"{spoken(size)} more do not fit.",
            fix="Delete what is not needed and wait for garbage collection, or have limits.quota raised.",
            detail={"repositories": repositories, "allowed": allowed, "used": used, "size": size},
        )


def spoken(size: int) -> str:
    """Bytes as people say them."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


class PreconditionFailed(RegistryError):
    """A condition of the request (RFC 9110, 13.1) that does not hold.

    The spec has no code of its own for it; this one no client takes for a fault that passes.
    """

    code = "DENIED"


class Unsupported(RegistryError):
    """A request for something that this registry does not do."""

    code = "UNSUPPORTED"


class PageInvalid(RegistryError):
    """A page size or a position that makes no sense."""

    code = "PAGINATION_NUMBER_INVALID"


class ParameterInvalid(RegistryError):
    """A parameter of a query that is unknown or wrong, or a condition that cannot be read."""

    code = "UNSUPPORTED"


class BodyTooLarge(RegistryError):
    """A body over the configured limit."""

    code = "SIZE_INVALID"


class BodyTimeout(RegistryError):
    """A body that came too slowly to wait for."""

    code = "SIZE_INVALID"


class Busy(RegistryError):
    """More at once than this process takes; the same request is fine a little later."""

    code = "TOOMANYREQUESTS"


class CheckFailed(RegistryError):
    """What was pushed could not be checked, for a reason that is not its own; nothing was acknowledged."""

    code = "UNAVAILABLE"


class StoreError(RegistryError):
    """The store failed; nothing of the request was acknowledged."""

    code = "UNAVAILABLE"


class StoreFull(StoreError):
    """The store has no room."""


class StoreUnavailable(StoreError):
    """The store does not answer, or answers with an error.

    `retry_after`: in how many seconds it is asked again, where that is known.
    """

    def __init__(
        self, message: str, *, fix: str = "", detail: object = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, fix=fix, detail=detail)
        self.retry_after = retry_after


class FormatUnknown(StoreError):
    """The store has a format that this release does not know."""


class FormatOutdated(StoreError):
    """The store has the format before, which this cannot be done with."""
