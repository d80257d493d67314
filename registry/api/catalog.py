"""The repositories of the registry (`/v2/_catalog`, Docker's Registry HTTP API V2)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import MAX_PAGE, Call


async def get(call: Call) -> Response:
    """A page of repositories in byte order."""
    last, n = call.page()
    if n == 0:
        return JSONResponse({"repositories": []})
    limit = min(n or MAX_PAGE, MAX_PAGE)
    page = await call.visible(after=last, limit=limit)
    headers = call.next_page(page.names[-1], limit) if page.more else {}
    return JSONResponse({"repositories": list(page.names)}, headers=headers)
