"""What refers to a manifest (OCI Distribution 1.1, end-12)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import Call
from storage.manifest import OCI_INDEX


async def get(call: Call) -> Response:
    """A page of referrers as an index, filtered by artifactType where asked; the subject need not be here."""
    digest = call.digest()
    kind = call.query("artifactType")
    rows, following = await call.repository.referrers.page(digest, after=call.query("last") or "")
    found = [row.to_json() for row in rows if kind in (None, row.artifact_type)]
    headers = {"OCI-Filters-Applied": "artifactType"} if kind is not None else {}
    if following:
        headers |= call.next_page(following)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return JSONResponse(index, headers=headers, media_type=OCI_INDEX)
