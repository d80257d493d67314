"""The tags of a repository (OCI Distribution 1.1, end-8)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import MAX_PAGE, Call


async def get(call: Call) -> Response:
    """A page of tags in byte order."""
    last, n = call.page()
    await call.repository.must_exist()
    if n == 0:
        return JSONResponse({"name": call.repository.name, "tags": []})
    limit = min(n or MAX_PAGE, MAX_PAGE)
    page = await call.repository.tags.page(after=last, limit=limit)
    headers = call.next_page(page.names[-1], limit) if page.more else {}
    return JSONResponse({"name": call.repository.name, "tags": list(page.names)}, headers=headers)
