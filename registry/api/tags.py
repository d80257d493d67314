"""The tags of a repository (OCI Distribution 1.1, end-8)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import MAX_PAGE, Call
from storage.driver import Page


async def get(call: Call) -> Response:
    """A page of tags in byte order."""
    last, n = call.page()
    limit = MAX_PAGE if n is None else min(n, MAX_PAGE)
    page = await call.repository.tags.page(after=last, limit=limit) if limit else Page((), more=False)
    if not page.names:  # else it is here: one look at the store is enough
        await call.repository.must_exist()
    headers = call.next_page(page.names[-1], limit) if page.more else {}
    return JSONResponse({"name": call.repository.name, "tags": list(page.names)}, headers=headers)
