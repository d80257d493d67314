"""Envoy's configuration for a trial (pure): the plugin's listener, one beside it without, an upstream.

The same request goes through both listeners, so that what differs is the plugin's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PLAIN = "plain"
TRIED = "tried"
"""The listeners: without the plugin, and with it."""

NAME = "plugin"
"""What Envoy calls the plugin in its log."""

_UPSTREAM = "sidecargo-upstream"
_TYPES = "type.googleapis.com/"
_FILTERS = f"{_TYPES}envoy.extensions.filters"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to configure: files by their paths; `upstream` and `stub` are ports of 127.0.0.1.

    `configuration` is what the plugin reads in proxy_on_configure, `root_id` the root context that it
    is started as, `clusters` are names that it may call out to: `stub` answers for them.
    """

    module: str
    admin_socket: str
    upstream: int
    stub: int
    configuration: str = ""
    root_id: str = ""
    clusters: Sequence[str] = ()


def bootstrap(plan: Plan) -> dict[str, Any]:
    """The whole configuration. Ports are left to the kernel; the admin interface is a socket file."""
    clusters = [_cluster(_UPSTREAM, plan.upstream)]
    clusters += [_cluster(name, plan.stub) for name in dict.fromkeys(plan.clusters) if name != _UPSTREAM]
    return {
        "admin": {"address": {"pipe": {"path": plan.admin_socket, "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(PLAIN, []), _listener(TRIED, [_wasm(plan)])],
            "clusters": clusters,
        },
    }


def _wasm(plan: Plan) -> dict[str, Any]:
    config = {
        "name": NAME,
        "root_id": plan.root_id,
        "configuration": {"@type": f"{_TYPES}google.protobuf.StringValue", "value": plan.configuration},
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "vm_id": NAME,
            "code": {"local": {"filename": plan.module}},
        },
    }
    typed = {"@type": f"{_FILTERS}.http.wasm.v3.Wasm", "config": config}
    return {"name": "envoy.filters.http.wasm", "typed_config": typed}


def _listener(name: str, filters: list[dict[str, Any]]) -> dict[str, Any]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
    }
    routes = {
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": _UPSTREAM}}],
            }
        ]
    }
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        # Ours goes through both listeners; of its own, Envoy would make two.
        "preserve_external_request_id": True,
        "route_config": routes,
        "http_filters": [*filters, router],
    }
    chain = {"filters": [{"name": "envoy.http_connection_manager", "typed_config": manager}]}
    return {"name": name, "address": _loopback(0), "filter_chains": [chain]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _loopback(port)}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }


def _loopback(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
