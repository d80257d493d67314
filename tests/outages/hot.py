"""An image that everybody pulls, and what they get."""

from __future__ import annotations

from tests.crash.story import layer_of, plugin
from tests.registry.consumers.build import CONFIG, sha256
from tests.registry.talk import Registry

TAG = "v1"


def pushed(registry: Registry) -> dict[str, bytes]:
    """Push it; what its pulls give, by path."""
    shape = plugin("hot")
    answer = registry.push(shape, TAG)
    assert answer.status == 201, answer
    manifests, plugins = f"{registry.base}/manifests", f"/plugins/{registry.name}"
    module = registry.get(f"{plugins}:{TAG}/plugin.wasm").body
    content = {
        f"{manifests}/{TAG}": shape.body,
        f"{manifests}/{shape.digest}": shape.body,
        f"{plugins}:{TAG}/plugin.wasm": module,
        f"{plugins}@{shape.digest}/plugin.wasm": module,
    }
    blobs = {f"{registry.base}/blobs/{sha256(data)}": data for data in (CONFIG, layer_of(shape))}
    return content | blobs


def degraded(host: str) -> bool:
    """Whether a server says, to Prometheus, that its store does not answer."""
    return Registry(host, "").counts("sidecargo_store_degraded")[""] > 0


def ready(host: str) -> bool:
    """Whether a server says, to its load balancer, that all is well."""
    return bool(Registry(host, "").get("/readyz").json == {"status": "ready"})
