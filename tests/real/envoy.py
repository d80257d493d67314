"""A real Envoy in front of an upstream, with one Wasm plugin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.process import Process, Word, free_port
from tests.real.web import Answer, answers, get

RELEASE = "1.40.0"
"""The release that the part `envoy` is."""
REGISTRY_CLUSTER = "registry"


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy: the ports of its listener and of its admin interface, and its process."""

    port: int
    admin: int
    process: Process

    def get(self, path: str = "/") -> Answer:
        """Send a request through."""
        return get(f"http://127.0.0.1:{self.port}{path}")

    def stop(self) -> None:
        """End it."""
        self.process.stop()


def start(binary: Path, folder: Path, code: dict[str, Any], *, upstream: int, registry: str = "") -> Envoy:
    """Start Envoy with a filter whose module is `code` (an AsyncDataSource) and wait until it is live.

    `registry` is the HOST:PORT behind the cluster `registry`, for `code.remote`. An Envoy that
    cannot load the module is live too, and answers as its fail policy says.
    """
    port, admin = free_port(), free_port()
    config = folder / f"envoy-{port}.json"
    config.write_text(json.dumps(bootstrap(code, port, admin, upstream, registry), indent=1))
    command: list[Word] = [binary, "-c", config, "--use-dynamic-base-id", "--concurrency", "1"]
    return await_live(Process(command, log=folder / f"envoy-{port}.log"), port, admin)


def await_live(process: Process, port: int, admin: int) -> Envoy:
    """Wait until an Envoy that was started has its listener."""
    process.wait_until(lambda: answers(f"http://127.0.0.1:{admin}/ready"), seconds=60)
    return Envoy(port, admin, process)


def remote(url: str, sha256: str) -> dict[str, Any]:
    """The `code` of a module that Envoy fetches itself."""
    return {
        "remote": {
            "http_uri": {"uri": url, "cluster": REGISTRY_CLUSTER, "timeout": "10s"},
            "sha256": sha256,
        }
    }


def bootstrap(code: dict[str, Any], port: int, admin: int, upstream: int, registry: str) -> dict[str, Any]:
    """The whole configuration of one listener, one plugin, one upstream."""
    clusters = [_cluster("upstream", "127.0.0.1", upstream)]
    if registry:
        host, _, at = registry.rpartition(":")
        clusters.append(_cluster(REGISTRY_CLUSTER, host, int(at)))
    wasm = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": "plugin",
            "root_id": "plugin",
            "vm_config": {"runtime": "envoy.wasm.runtime.v8", "vm_id": "plugin", "code": code},
        },
    }
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    connections = {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager"
            ".v3.HttpConnectionManager"
        ),
        "stat_prefix": "ingress",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.wasm", "typed_config": wasm},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    listener = {
        "name": "ingress",
        "address": _address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.http_connection_manager", "typed_config": connections}]}
        ],
    }
    return {
        "admin": {"address": _address("127.0.0.1", admin)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, host: str, port: int) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(host, port)}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }
