"""Blobs by digest (OCI Distribution 1.1, end-2 and end-10)."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from registry.api.call import Call
from registry.api.content import Content
from registry.audit.record import Record


async def get(call: Call) -> Response:
    """The blob, a part of it, or its headers; or where to fetch it from."""
    blobs = call.repository.blobs
    digest = call.digest()
    # A HEAD asks whether to send it, which then is better done; a GET comes from who has read a manifest.
    blob = await blobs.open(digest, ending=call.request.method == "GET")
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "Accept-Ranges": "bytes",
    }
    # The hot path answers a HEAD by what a GET has left there.
    witness = None if blob.ending else blob.witness
    read = partial(blobs.read, blob)
    return await Content(digest, blob.size, read, witness, headers, key=blob.key).answer(call)


async def delete(call: Call) -> Response:
    """Take the blob from the repository."""
    digest = call.digest()
    await call.repository.blobs.delete(digest)
    who, name = str(call.principal), call.repository.name
    call.services.audit(Record("delete", "done", who, call.origin, name, digest=str(digest), what="blob"))
    return Response(status_code=202)
