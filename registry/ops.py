"""For operators: alive, ready, metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from registry.api.call import Call
from storage.errors import StoreUnavailable


async def healthz(call: Call) -> Response:
    """The process answers."""
    del call
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """The store answers too, or pulls are served without it for a while; 503 while neither is so."""
    remembered = call.services.remembered
    try:
        await call.services.store.ready()
    except StoreUnavailable:
        if remembered is None or remembered.degraded is None or not remembered.serving:
            raise
    since = remembered.degraded if remembered else None
    return JSONResponse({"status": "ready"} if since is None else _degraded(since))


async def metrics(call: Call) -> Response:
    """What all workers counted, for Prometheus."""
    return Response(call.services.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _degraded(since: float) -> dict[str, str]:
    return {
        "status": "degraded",
        "since": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds"),
        "message": "The store does not answer: pulls get what was seen last, pushes are refused.",
    }
