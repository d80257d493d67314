"""`/keys/`: what to verify signatures with."""

from __future__ import annotations

from starlette.responses import PlainTextResponse, Response

from registry.api.call import Call


async def cosign_pub(call: Call) -> Response:
    """The public key that signs now, as cosign takes it (PEM)."""
    return PlainTextResponse(call.services.cosign_pub, media_type="application/x-pem-file")
