"""For operators: alive, ready, metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
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
    """What all workers counted, for Prometheus."""
    return Response(call.services.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
