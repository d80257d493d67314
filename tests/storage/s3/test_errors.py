from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from storage.driver import ObjectMissing
from storage.errors import StoreFull, StoreUnavailable
from storage.s3.errors import Conflict, OutOfRange, Unmet, UploadGone, told, told_by_client

PLACE = "s3://bucket/prefix"
SECRET = "AKIDSECRET"


def client_error(code: str, status: int, retries: int = 0) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": f"the key {SECRET} is wrong", "AWSAccessKeyId": SECRET},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
    }
    return ClientError(response, "PutObject")


@pytest.mark.parametrize(
    ("code", "status", "type_"),
    [
        ("NoSuchKey", 404, ObjectMissing),
        ("404", 404, ObjectMissing),
        ("PreconditionFailed", 412, Unmet),
        ("412", 412, Unmet),
        ("ConditionalRequestConflict", 409, Conflict),
        ("InvalidRange", 416, OutOfRange),
        ("416", 416, OutOfRange),
        ("NoSuchUpload", 404, UploadGone),
        ("InvalidPart", 400, UploadGone),
        ("InsufficientStorage", 507, StoreFull),
        ("XMinioStorageFull", 507, StoreFull),
        ("QuotaExceeded", 403, StoreFull),
        ("NoSuchBucket", 404, StoreUnavailable),
        ("SlowDown", 503, StoreUnavailable),
    ],
)
def test_what_the_store_says(code: str, status: int, type_: type[Exception]) -> None:
    assert type(told_by_client(client_error(code, status), PLACE, "a/b")) is type_


@pytest.mark.parametrize(
    ("code", "status", "message", "fix"),
    [
        ("NoSuchBucket", 404, "there is no bucket", "Create it"),
        ("404", 404, "answers 404", "Try again"),
        ("InvalidAccessKeyId", 403, "refuses the credentials", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, "refuses the credentials", "AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", 400, "refuses the credentials", "AWS_ACCESS_KEY_ID"),
        ("AccessDenied", 403, "may not be used", "Allow them"),
        ("403", 403, "may not be used", "Allow them"),
        ("PermanentRedirect", 301, "another region", "AWS_DEFAULT_REGION"),
        ("AuthorizationHeaderMalformed", 400, "another region", "AWS_DEFAULT_REGION"),
        ("InternalError", 500, "answers InternalError", "Try again"),
        ("QuotaExceeded", 403, "is full", "quota"),
    ],
)
def test_what_to_do_about_it(code: str, status: int, message: str, fix: str) -> None:
    found = told_by_client(client_error(code, status), PLACE, None)
    assert isinstance(found, StoreFull | StoreUnavailable)
    assert message in found.message
    assert fix in found.fix
    assert PLACE in found.message
    assert SECRET not in str(found)


@pytest.mark.parametrize("retries", [0, 1])
def test_whether_an_earlier_try_may_have_been_done(retries: int) -> None:
    for code in ("PreconditionFailed", "NoSuchUpload", "NoSuchKey"):
        found = told_by_client(client_error(code, 412, retries), PLACE, "a/b", removes=True)
        assert isinstance(found, Unmet | UploadGone)
        assert found.retried is bool(retries)


@pytest.mark.parametrize(
    ("error", "message", "fix"),
    [
        (boto.NoCredentialsError(), "no credentials", "AWS_ACCESS_KEY_ID"),
        (boto.PartialCredentialsError(provider="env", cred_var=SECRET), "no credentials", "AWS_PROFILE"),
        (boto.ProfileNotFound(profile=SECRET), "no such profile", "AWS_PROFILE"),
        (boto.NoRegionError(), "region", "AWS_DEFAULT_REGION"),
        (boto.SSLError(endpoint_url=SECRET, error=""), "not trusted", "AWS_CA_BUNDLE"),
        (boto.EndpointConnectionError(endpoint_url=SECRET), "nothing answers", "AWS_ENDPOINT_URL"),
        (boto.ConnectTimeoutError(endpoint_url=SECRET), "nothing answers", "AWS_ENDPOINT_URL"),
        (boto.ReadTimeoutError(endpoint_url=SECRET), "does not answer (ReadTimeoutError)", "Try again"),
        (boto.ParamValidationError(report=SECRET), "no place in S3", "s3://BUCKET/PREFIX"),
        (ValueError(f"Invalid endpoint: {SECRET}"), "AWS_ENDPOINT_URL is no URL", "https://HOST"),
        (ConnectionResetError(), "does not answer", "Try again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_fails_on_this_side(error: Exception, message: str, fix: str) -> None:
    found = told(error, PLACE)
    assert message in found.message
    assert fix in found.fix
    assert SECRET not in str(found)
