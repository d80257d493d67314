"""`/keys/`: what to verify signatures with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import PlainTextResponse, Response

from registry.api.call import Call
from registry.signing.ring import Published
from registry.web import pages


async def cosign_pub(call: Call) -> Response:
    """The public key that signs now, as cosign takes it (PEM)."""
    pem = call.services.ring.signing.public_pem.decode()
    return PlainTextResponse(pem, media_type="application/x-pem-file")


async def listed(call: Call) -> Response:
    """All keys that count, the one that signs now first; JSON for programs, a page for people."""
    ring = call.services.ring
    keys = [told(one, signs=one.key.key_id == ring.signing.key_id) for one in ring.published]
    if pages.wanted(call):
        return pages.render(call, "keys.html", keys=keys)
    return pages.document({"keys": keys})


def told(one: Published, *, signs: bool) -> dict[str, Any]:
    """A key as JSON: `id` is the SHA-256 of its DER, `hint` the same as bundles have it."""
    since = None if one.since is None else datetime.fromtimestamp(int(one.since), UTC)
    return {
        "id": one.key.key_id,
        "hint": one.key.hint,
        "signs": signs,
        "since": since.isoformat().replace("+00:00", "Z") if since else None,
        "pem": one.key.pem.decode(),
    }
