from __future__ import annotations

import re

import pytest

from storage import errors
from storage.errors import (
    ManifestBlobUnknown,
    QuotaExceeded,
    RangeNotSatisfiable,
    RegistryError,
    StoreError,
    UploadOutOfOrder,
)

TYPES = [
    found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, RegistryError)
]
each_type = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)

# OCI Distribution 1.1, "Error Codes"; then codes of the Docker registry API and of our own.
CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
    "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
} | {"PAGINATION_NUMBER_INVALID", "UNAVAILABLE"}  # fmt: skip


def test_the_drawing_shows_every_type_once() -> None:
    drawing = (errors.__doc__ or "").partition("\n\n")[2].partition("\n\n")[0]
    drawn = re.findall(r"[A-Z]\w+", drawing)
    assert sorted(drawn) == sorted(kind.__name__ for kind in TYPES)


def test_the_drawing_puts_failures_of_the_store_below_their_type() -> None:
    drawing = (errors.__doc__ or "").partition("StoreError\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"[A-Z]\w+", drawing)) == {kind.__name__ for kind in StoreError.__subclasses__()}


@each_type
def test_every_type_has_a_code_and_says_what_it_is(kind: type[RegistryError]) -> None:
    assert kind.code in CODES
    assert kind.__doc__


def make(kind: type[RegistryError]) -> RegistryError:
    """An error of this type."""
    if kind is ManifestBlobUnknown:
        return ManifestBlobUnknown(["sha256:0"])
    if kind is RangeNotSatisfiable:
        return RangeNotSatisfiable("what is wrong.", size=7)
    if kind is UploadOutOfOrder:
        return UploadOutOfOrder("what is wrong.", offset=7, fix="Go on.")
    if kind is QuotaExceeded:
        return QuotaExceeded("team/**", allowed=9, used=8, size=7)
    return kind("what is wrong.", fix="Do this.")


@each_type
def test_every_error_reads_as_a_sentence(kind: type[RegistryError]) -> None:
    error = make(kind)
    assert str(error) == f"{error.message} {error.fix}".rstrip()
    assert error.message
    assert str(error) == str(error).strip()


def test_errors_without_a_fix() -> None:
    assert str(RegistryError("what is wrong.")) == "what is wrong."


@pytest.mark.parametrize(
    ("count", "shown", "more"), [(1, 1, ""), (3, 3, ""), (4, 3, "and 1 more"), (2000, 3, "1997")]
)
def test_missing_content_is_listed_with_a_cap_on_the_message(count: int, shown: int, more: str) -> None:
    missing = [f"sha512:{at:0128}" for at in range(count)]
    error = ManifestBlobUnknown(missing)
    assert error.message.count(f"sha512:{'0' * 12}") == shown
    assert len(str(error)) <= 200, "docker shows no more of it"
    assert error.fix in str(error)
    assert more in error.message
    assert error.detail == [{"digest": digest} for digest in missing[:100]]
    assert error.missing == tuple(missing)


def test_why_content_is_missing_is_said_where_it_is_known() -> None:
    error = ManifestBlobUnknown(["sha256:0"], reason="there is no plugin.wasm.", fix="COPY it.")
    assert str(error) == "there is no plugin.wasm. COPY it."
    assert error.detail == [{"digest": "sha256:0"}]


def test_where_an_upload_stands_and_how_long_content_is_are_in_the_detail() -> None:
    assert (make(UploadOutOfOrder).detail, make(RangeNotSatisfiable).detail) == ({"offset": 7}, {"size": 7})
