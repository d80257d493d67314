"""The one table of routes: method, path, the right it needs, and what answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from registry import ops
from registry.access.rights import Right
from registry.api import base, blobs, catalog, manifests, referrers, tags, token, uploads
from registry.api.call import Call
from registry.apply.options import KINDS
from registry.plugins import apply, history, keys, module, report, urls
from registry.web import login, pages

Resource = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `{repository}` in the path is any repository name, `/` included.

    `or_right` is one that does as well as `right`.
    """

    methods: str
    path: str
    right: Right
    resource: Resource
    or_right: Right | None = None


_R = "/v2/{repository:rest}"
_P = "/plugins/{repository:rest}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v2/", Right.OPEN, base.get),
    Route("GET", "/token", Right.OPEN, token.get),
    Route("POST", "/token", Right.OPEN, token.post),
    Route("GET", "/v2/_catalog", Right.PULL, catalog.get),
    Route("GET", f"{_R}/tags/list", Right.PULL, tags.get),
    Route("GET", f"{_R}/referrers/{{digest}}", Right.PULL, referrers.get),
    Route("GET", f"{_R}/manifests/{{reference}}", Right.PULL, manifests.get),
    Route("PUT", f"{_R}/manifests/{{reference}}", Right.PUSH, manifests.put),
    Route("DELETE", f"{_R}/manifests/{{reference}}", Right.DELETE, manifests.delete),
    Route("POST", f"{_R}/blobs/uploads/", Right.PUSH, uploads.start),
    Route("GET", f"{_R}/blobs/uploads/{{upload}}", Right.PUSH, uploads.status),
    Route("PATCH", f"{_R}/blobs/uploads/{{upload}}", Right.PUSH, uploads.append),
    Route("PUT", f"{_R}/blobs/uploads/{{upload}}", Right.PUSH, uploads.finish),
    Route("DELETE", f"{_R}/blobs/uploads/{{upload}}", Right.PUSH, uploads.cancel),
    Route("GET", f"{_R}/blobs/{{digest}}", Right.PULL, blobs.get),
    Route("DELETE", f"{_R}/blobs/{{digest}}", Right.DELETE, blobs.delete),
    Route("GET", f"{_P}@{{digest}}/plugin.wasm", Right.PULL, module.get),
    Route("GET", f"{_P}:{{tag}}/plugin.wasm", Right.PULL, module.get),
    *(
        Route("GET", f"{_P}{reference}/{{capability}}/plugin.wasm", Right.PULL, module.get)
        for reference in ("@{digest}", ":{tag}")
    ),
    *(
        row
        for reference in ("@{digest}", ":{tag}")
        for row in (
            Route("GET", f"{_P}{reference}/urls", Right.PUSH, urls.listed, Right.ADMIN),
            Route("POST", f"{_P}{reference}/urls", Right.PULL, urls.give),
            Route("DELETE", f"{_P}{reference}/urls", Right.PUSH, urls.revoke, Right.ADMIN),
            Route("DELETE", f"{_P}{reference}/urls/{{url}}", Right.PUSH, urls.revoke, Right.ADMIN),
        )
    ),
    *(
        Route("GET", f"{_P}{reference}/{kind}.yaml", Right.PULL, apply.of(kind))
        for kind in KINDS
        for reference in ("@{digest}", ":{tag}")
    ),
    Route("GET", f"{_P}@{{digest}}/{{file}}", Right.PULL, apply.unknown),
    Route("GET", f"{_P}:{{tag}}/history", Right.PULL, history.get),
    Route("GET", f"{_P}:{{tag}}/{{file}}", Right.PULL, apply.unknown),
    Route("GET", f"{_P}@{{digest}}", Right.PULL, report.get),
    Route("GET", f"{_P}:{{tag}}", Right.PULL, report.get),
    Route("GET", "/plugins", Right.PULL, pages.repositories),
    Route("GET", "/plugins/", Right.PULL, pages.repositories),
    Route("GET", _P, Right.PULL, pages.tags),
    Route("GET", "/keys/", Right.OPEN, keys.listed),
    Route("GET", "/keys/cosign.pub", Right.OPEN, keys.cosign_pub),
    Route("GET", "/healthz", Right.OPEN, ops.healthz),
    Route("GET", "/readyz", Right.OPEN, ops.readyz),
    Route("GET", "/metrics", Right.ADMIN, ops.metrics),
    Route("GET", "/login", Right.OPEN, login.begin),
    Route("GET", "/login/callback", Right.OPEN, login.callback),
    Route("GET", "/", Right.OPEN, pages.start),
    Route("GET", "/style.css", Right.OPEN, pages.style),
)
