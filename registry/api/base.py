"""`/v2/`: is this a registry?"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from registry.api.call import Call
from storage.errors import Unauthorized


async def get(call: Call) -> Response:
    """Yes (OCI Distribution 1.1, end-1); raises Unauthorized where a login gives more than nobody has.

    Some clients log in only when this asks for it.
    """
    if call.services.rules.ask_for_a_login and not call.principal.has_logged_in:
        raise Unauthorized("this registry wants to know who asks.", fix="Log in with docker login.")
    return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
