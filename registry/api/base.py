"""`/v2/`: is this a registry?"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import Call


async def get(call: Call) -> Response:
    """Yes (OCI Distribution 1.1, end-1)."""
    del call
    return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
