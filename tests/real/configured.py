"""An Envoy's configuration around the part that `sidecargo yaml envoy` prints, put together as text."""

from __future__ import annotations

import textwrap
from pathlib import Path
from string import Template

from tests.real import envoy
from tests.real.envoy import Envoy
from tests.real.process import Finished, Process, free_port, run
from tests.real.tools import require

# What a user has before: a listener whose only filter is the last one, and the upstream's cluster.
_AROUND = Template("""\
admin: {address: {socket_address: {address: 127.0.0.1, port_value: $admin}}}
static_resources:
  listeners:
  - name: ingress
    address: {socket_address: {address: 127.0.0.1, port_value: $port}}
    filter_chains:
    - filters:
$network
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': $types.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            virtual_hosts:
            - {name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: upstream}}]}
          http_filters:
$http
          - name: envoy.filters.http.router
            typed_config: {'@type': $types.filters.http.router.v3.Router}
  clusters:
  - name: upstream
    connect_timeout: 5s
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $upstream}}}
$clusters
""")
_TYPES = "type.googleapis.com/envoy.extensions"


def validate(printed: str, folder: Path) -> Finished:
    """What Envoy says of a configuration with the printed part (`--mode validate`)."""
    path = _written(printed, folder, free_port(), free_port(), 1)
    return run(require("envoy"), "--mode", "validate", "-c", path)


def start(printed: str, folder: Path, upstream: int) -> Envoy:
    """Run Envoy with the printed part, in front of the upstream, and wait until it is live."""
    port, admin = free_port(), free_port()
    path = _written(printed, folder, port, admin, upstream)
    command = [require("envoy"), "-c", path, "--use-dynamic-base-id", "--concurrency", "1"]
    return envoy.await_live(Process(command, log=path.with_suffix(".log")), port, admin)


def _written(printed: str, folder: Path, port: int, admin: int, upstream: int) -> Path:
    parts = _parts(printed)
    path = folder / f"envoy-{port}.yaml"
    path.write_text(
        _AROUND.substitute(
            types=_TYPES,
            port=port,
            admin=admin,
            upstream=upstream,
            network=textwrap.indent(parts.pop("filters", ""), " " * 6),
            http=textwrap.indent(parts.pop("http_filters", ""), " " * 10),
            clusters=textwrap.indent(parts.pop("clusters", ""), " " * 2),
        )
    )
    assert not parts, f"printed is also {parts}"
    return path


def _parts(printed: str) -> dict[str, str]:
    """What is printed under each name, as text: it is Envoy that is to read it."""
    parts: dict[str, str] = {}
    name = ""
    for line in printed.splitlines():
        if line.startswith("#"):
            continue
        if line[0] not in " -'":
            name = line.removesuffix(":")
            parts[name] = ""
        else:
            parts[name] += line + "\n"
    return parts
