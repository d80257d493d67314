"""For operators: alive, ready, metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from registry.api.call import Call


async def healthz(call: Call) -> Response:
    """The process answers."""
    del call
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """The store answers too; 503 while it does not."""
    await call.services.store.ready()
    return JSONResponse({"status": "ready"})


async def metrics(call: Call) -> Response:
    """What this process counted, for Prometheus."""
    return Response(generate_latest(call.services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
