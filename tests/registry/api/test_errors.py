import json
import re
from collections.abc import Iterator

import pytest
from starlette.requests import Request

from registry.api.errors import HANDLERS, STATUS, answer, body, on_fault, on_registry_error
from storage import errors as e
from tests.real.tools import ROOT

CODES = {
    # OCI Distribution 1.1, "Error Codes"
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    # Docker's Registry HTTP API V2
    "PAGINATION_NUMBER_INVALID",
    "UNAVAILABLE",
}
RETRIED = {"UNKNOWN", "BLOB_UPLOAD_INVALID", "UNAVAILABLE"}  # by go-containerregistry, whatever the status


def below(kind: type[e.RegistryError]) -> Iterator[type[e.RegistryError]]:
    for child in kind.__subclasses__():
        if child.__module__ == e.__name__:
            yield child
            yield from below(child)


def made(kind: type[e.RegistryError]) -> e.RegistryError:
    """An error of that type."""
    if kind is e.UploadOutOfOrder:
        return e.UploadOutOfOrder("wrong place.", offset=7, fix="Go on at 7.")
    if kind is e.RangeNotSatisfiable:
        return e.RangeNotSatisfiable("outside.", size=5)
    if kind is e.ManifestBlobUnknown:
        return e.ManifestBlobUnknown(["sha256:1", "sha256:2"])
    if kind is e.QuotaExceeded:
        return e.QuotaExceeded("team/**", allowed=3 << 30, used=3000 << 20, size=2000)
    return kind("it is wrong.", fix="Mend it.")


def test_the_table_is_complete() -> None:
    # StoreError itself is never raised: what fails is one of its kinds.
    assert set(STATUS) == set(below(e.RegistryError)) - {e.StoreError}


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_error_is_told_in_the_spec_s_form(kind: type[e.RegistryError]) -> None:
    error = made(kind)
    response = answer(error)
    assert (response.status_code, response.headers["content-type"]) == (STATUS[kind], "application/json")
    (said,) = json.loads(bytes(response.body))["errors"]
    assert said["code"] in CODES
    assert said["message"] == str(error)
    assert ("detail" in said) is (error.detail is not None)


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_only_what_may_pass_has_a_code_that_clients_retry(kind: type[e.RegistryError]) -> None:
    if STATUS[kind] >= 500:
        assert kind.code == "UNAVAILABLE"
        assert answer(made(kind)).headers["retry-after"]
    elif kind.code in RETRIED:
        assert issubclass(kind, e.BlobUploadInvalid)  # no client of that library sends chunks


@pytest.mark.parametrize(("known", "said"), [(None, "5"), (1, "1"), (10, "10")])
def test_a_store_that_fails_says_when_to_come_back(known: int | None, said: str) -> None:
    response = answer(e.StoreUnavailable("down.", retry_after=known))
    assert (response.status_code, response.headers["retry-after"]) == (503, said)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (e.StoreUnavailable("down."), 1),
        (e.StoreUnavailable("not asked.", retry_after=1), 0),
        (e.StoreFull("full."), 1),
        (e.NameInvalid("wrong."), 0),
    ],
    ids=str,
)
async def test_what_the_store_failed_is_logged_once(
    caplog: pytest.LogCaptureFixture, error: e.RegistryError, logged: int
) -> None:
    await on_registry_error(Request({"type": "http", "method": "GET", "path": "/x"}), error)
    assert len(caplog.records) == logged


@pytest.mark.parametrize(("offset", "said"), [(0, "0-0"), (1, "0-0"), (100, "0-99")])
def test_an_upload_is_told_where_it_stands(offset: int, said: str) -> None:
    assert answer(e.UploadOutOfOrder("x", offset=offset)).headers["range"] == said


def test_a_range_is_told_the_size() -> None:
    assert answer(e.RangeNotSatisfiable("x", size=5)).headers["content-range"] == "bytes */5"


@pytest.mark.parametrize(
    ("detail", "document"),
    [
        (None, {"code": "X", "message": "m"}),
        ([], {"code": "X", "message": "m", "detail": []}),
        ({"a": 1}, {"code": "X", "message": "m", "detail": {"a": 1}}),
    ],
)
def test_the_body(detail: object, document: object) -> None:
    assert body("X", "m", detail) == {"errors": [document]}


async def test_a_fault_of_ours_shows_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "headers": [],
        "query_string": b"",
        "server": None,
    }
    response = await on_fault(Request(scope), ValueError("inner secret"))
    assert response.status_code == 500
    assert b"secret" not in bytes(response.body)
    assert "inner secret" in caplog.text


def test_everything_has_a_handler() -> None:
    assert {e.RegistryError, Exception} <= set(HANDLERS)


def test_the_page_of_errors_is_complete() -> None:
    """docs/errors.md has a row for each type: its status, its code, and what to do."""
    page = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert [row[:3] for row in rows] == [
        (kind.__name__, str(status), kind.code) for kind, status in STATUS.items()
    ]
    assert all(len(what) > 20 for *_, what in rows)
