"""What an S3 store says when it fails, as ours: what to do about it, and no credentials.

Codes: "Error responses" of the Amazon S3 API reference; what a HEAD answers has a status only.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import ClientError
from urllib3.exceptions import HTTPError

from storage.driver import ObjectMissing
from storage.errors import StoreFull, StoreUnavailable

BODY_FAILURES = (boto.HTTPClientError, boto.IncompleteReadError, HTTPException, OSError)
"""What reading a body raises when its connection breaks."""

ERROR_FAILURES = (HTTPError,)
"""What a call raises that would open a body, when the error that comes instead breaks off."""


class Unmet(Exception):
    """A condition of a call is not true of the object, or there is none.

    `retried`: an earlier try of the same call may have been done, and its answer lost.
    """

    def __init__(self, *, retried: bool) -> None:
        super().__init__("the condition is not met")
        self.retried = retried


class Conflict(Exception):
    """The store was at the object for somebody else; the same call again is answered."""


class OutOfRange(Exception):
    """The object ends before the range that was asked for."""


class UploadGone(Exception):
    """There is no such multipart upload any more, or not with these parts; `retried` as in Unmet."""

    def __init__(self, *, retried: bool) -> None:
        super().__init__("the multipart upload is over")
        self.retried = retried


_MISSING = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
_UPLOAD_GONE = {"NoSuchUpload", "InvalidPart", "InvalidPartOrder"}
_FULL = {"507", "InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "QuotaExceededException"}
_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
}
_REGION = {
    "PermanentRedirect",
    "301",
    "IllegalLocationConstraintException",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
}

_FIX_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role, "
    "as for every program that uses boto3."
)
_FIX_REGION = "Set AWS_DEFAULT_REGION to the bucket's region."
_FIX_LATER = "Try again a little later."


def told_by_client(error: ClientError, place: str, key: str | None, *, removes: bool = False) -> Exception:
    """What an error that the store has answered means; `key` is the object that it is about, if any.

    To who `removes` an object that is gone some stores say so, and some that the condition is not met.
    """
    response: Any = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    about = response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 0)
    retried = bool(about.get("RetryAttempts"))
    if code in _UPLOAD_GONE:
        return UploadGone(retried=retried)
    if code == "NoSuchBucket":
        return StoreUnavailable(
            f"there is no bucket for {place}.", fix="Create it, or correct storage.url or AWS_ENDPOINT_URL."
        )
    if code in _MISSING and key is not None:
        return Unmet(retried=retried) if removes else ObjectMissing(key)
    if status == 412 or code == "PreconditionFailed":
        return Unmet(retried=retried)
    if status == 409 and code in ("ConditionalRequestConflict", "OperationAborted", "409"):
        return Conflict(code)
    if status == 416 or code == "InvalidRange":
        return OutOfRange(code)
    return _refused(code, status, place)


def told(error: Exception, place: str) -> StoreUnavailable:
    """What a failure on this side of the store, or on the way to it, means."""
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
    ):
        return StoreUnavailable(f"there are no credentials for {place}.", fix=_FIX_CREDENTIALS)
    if isinstance(error, boto.ProfileNotFound):
        return StoreUnavailable("there is no such profile as AWS_PROFILE names.", fix=_FIX_CREDENTIALS)
    if isinstance(error, boto.NoRegionError | boto.InvalidRegionError):
        return StoreUnavailable(f"the region of {place} is not known.", fix=_FIX_REGION)
    if isinstance(error, boto.ParamValidationError):
        return StoreUnavailable(f"{place} is no place in S3.", fix="Write storage.url as s3://BUCKET/PREFIX.")
    if isinstance(error, ValueError):
        return StoreUnavailable(
            "AWS_ENDPOINT_URL is no URL.", fix="Write it as https://HOST or http://HOST:PORT."
        )
    if isinstance(error, boto.SSLError):
        return StoreUnavailable(
            f"the certificate of the endpoint of {place} is not trusted.",
            fix="Name the file of its authority in AWS_CA_BUNDLE.",
        )
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError):
        return StoreUnavailable(
            f"nothing answers at the endpoint of {place}.",
            fix="Look whether the store runs and AWS_ENDPOINT_URL names it.",
        )
    return StoreUnavailable(f"{place} does not answer ({type(error).__name__}).", fix=_FIX_LATER)


def _refused(code: str, status: int, place: str) -> Exception:
    if code in _FULL or status == 507:
        return StoreFull(f"{place} is full.", fix="Free space in the store, or raise its quota.")
    if code in _CREDENTIALS:
        return StoreUnavailable(f"{place} refuses the credentials ({code}).", fix=_FIX_CREDENTIALS)
    if code in _REGION:
        return StoreUnavailable(f"{place} is in another region ({code}).", fix=_FIX_REGION)
    if status == 403:
        return StoreUnavailable(
            f"{place} may not be used with these credentials ({code}).",
            fix="Allow them to get, put, delete and list objects and multipart uploads there.",
        )
    return StoreUnavailable(f"{place} answers {code or status}.", fix=_FIX_LATER)
