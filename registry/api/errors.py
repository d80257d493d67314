"""The one table of errors: from types to HTTP, in the spec's JSON (OCI Distribution 1.1, "Error Codes")."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from storage import errors as e

_log = logging.getLogger("sidecargo.http")

RETRY_AFTER = "5"

STATUS: Mapping[type[e.RegistryError], int] = {
    e.NameInvalid: 400,
    e.NameUnknown: 404,
    e.DigestInvalid: 400,
    e.SizeInvalid: 400,
    e.BlobUnknown: 404,
    e.BlobUploadUnknown: 404,
    e.BlobUploadInvalid: 400,
    e.UploadOutOfOrder: 416,
    e.RangeNotSatisfiable: 416,
    e.ManifestUnknown: 404,
    e.ManifestInvalid: 400,
    e.ManifestBlobUnknown: 404,
    e.ManifestTooLarge: 413,
    e.Unauthorized: 401,
    e.Denied: 403,
    e.TagImmutable: 403,
    e.QuotaExceeded: 403,
    e.PreconditionFailed: 412,
    e.Unsupported: 405,
    e.PageInvalid: 400,
    e.ParameterInvalid: 400,
    e.BodyTooLarge: 413,
    e.BodyTimeout: 408,
    e.Busy: 429,
    e.CheckFailed: 503,
    e.IssuerUnavailable: 503,
    e.StoreFull: 507,
    e.StoreUnavailable: 503,
    e.FormatUnknown: 503,
    e.FormatOutdated: 503,
}


def body(code: str, message: str, detail: object = None) -> dict[str, Any]:
    """An error as the spec writes it."""
    said: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        said["detail"] = detail
    return {"errors": [said]}


def answer(error: e.RegistryError) -> Response:
    """An error as a response."""
    headers = {}
    if isinstance(error, e.UploadOutOfOrder):
        headers["Range"] = f"0-{max(error.offset - 1, 0)}"
    if isinstance(error, e.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, e.StoreError | e.CheckFailed | e.Busy | e.IssuerUnavailable):
        known = error.retry_after if isinstance(error, e.StoreUnavailable) else None
        headers["Retry-After"] = RETRY_AFTER if known is None else str(known)
    if isinstance(error, e.Unauthorized):
        headers["WWW-Authenticate"] = error.challenge
    return JSONResponse(body(error.code, str(error), error.detail), STATUS[type(error)], headers)


async def on_registry_error(request: Request, error: Exception) -> Response:
    """Handler of everything that has a type in the table."""
    assert isinstance(error, e.RegistryError)
    # That a store is not asked is no news: what it has failed is logged where it failed.
    asked = not isinstance(error, e.StoreUnavailable) or error.retry_after is None
    if isinstance(error, e.StoreError | e.CheckFailed) and asked:
        _log.error("failed: %s %s: %s", request.method, request.scope["path"], error, exc_info=error)
    return answer(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of what the router itself refuses: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        message = f"{request.method} is not possible here."
        allowed = sorted((error.headers or {})["Allow"].split(", "))
        return JSONResponse(body("UNSUPPORTED", message), 405, {"Allow": ", ".join(allowed)})
    return JSONResponse(
        body("NAME_UNKNOWN", "there is nothing under this path."), error.status_code, error.headers
    )


async def on_disconnect(request: Request, error: Exception) -> Response:
    """Handler of a client that went away in the middle of its body: nobody reads this answer."""
    del request, error
    return JSONResponse(body("BLOB_UPLOAD_INVALID", "the body ended early."), 400)


async def on_fault(request: Request, error: Exception) -> Response:
    """Handler of a fault of ours: said plainly, without its inner parts; the log has them."""
    _log.error("fault: %s %s", request.method, request.scope["path"], exc_info=error)
    return JSONResponse(body("INTERNAL", "the registry failed; its log says why."), 500)


HANDLERS: Mapping[Any, Any] = {
    e.RegistryError: on_registry_error,
    HTTPException: on_http_error,
    ClientDisconnect: on_disconnect,
    Exception: on_fault,
}
