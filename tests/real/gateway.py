"""A whole Envoy Gateway on this machine, without Kubernetes: a policy goes in, requests go through.

envoy-gateway  its server as released: resources come from files (provider File), it fetches the modules,
               and starts and configures Envoy itself (infrastructure Host)
Envoy          the release of `envoy.RELEASE`, which gets the modules from the server

It listens on ports that cannot be chosen (`_PORTS`), on every address, so that one can run on a machine at a
time: a lock file makes the next one wait. Its Envoy knows it by a name and by a file that there are in
Kubernetes: they are in an /etc/hosts and a /certs of its own (`apart.py`).
"""

from __future__ import annotations

import base64
import fcntl
import json
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import IO

from tests.real import envoy
from tests.real.apart import apart, hosts
from tests.real.process import Process, environment, free_port, succeed
from tests.real.proxied import Proxied, plain
from tests.real.tools import require
from tests.real.web import Answer

NAMESPACE = "default"
GATEWAY = "gateway"
"""The name of the Gateway, for a policy's target."""
PLACE = ("--namespace", NAMESPACE, "--target", f"Gateway/{GATEWAY}")
"""What makes `sidecargo yaml` print a policy for the gateway."""

# And 8081 for its health, which it can do without.
_PORTS = {18000: "configuration", 18002: "modules", 19003: "readiness"}
_NAME = "envoy-gateway.envoy-gateway-system.svc.cluster.local"
_CERTIFICATES = Path("/certs")
_LOCK = Path(tempfile.gettempdir()) / "sidecargo-envoy-gateway.lock"
_PATIENCE = 500.0

# What sends every request of the gateway's port on to the upstream; the secret is what the gateway's
# Envoy fetches modules with.
_ROUTE = Template("""\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: host}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: host, namespace: $namespace}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: host, namespace: $namespace}
spec:
  concurrency: 1
  telemetry: {accessLog: {disable: true}}
  shutdown: {drainTimeout: 1s, minDrainDuration: 0s}
  provider: {type: Host, host: {envoyVersion: $release}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $gateway, namespace: $namespace}
spec:
  gatewayClassName: host
  listeners: [{name: http, protocol: HTTP, port: $port}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: $namespace}
spec:
  parentRefs: [{name: $gateway}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: upstream}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: upstream, namespace: $namespace}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: $upstream}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: envoy, namespace: envoy-gateway-system}
type: kubernetes.io/tls
data: {ca.crt: $ca, tls.crt: $certificate, tls.key: $key}
""")


@dataclass(frozen=True, slots=True)
class Gateway(Proxied):
    """A running Envoy Gateway; `resources` is the folder that it takes them from."""

    resources: Path
    lock: IO[str]

    def apply(self, *documents: str) -> None:
        """What `kubectl apply` does: from now on these documents count, and those of before no longer."""
        # Written beside under a name that the server overlooks: it never reads half a file.
        unfinished = self.resources / ".unfinished"
        unfinished.write_text("\n---\n".join(documents))
        unfinished.rename(self.resources / "plugins.yaml")

    def clear(self) -> None:
        """Take every plugin away and wait until none is seen."""
        self.apply()
        self.until(plain, "answer without a plugin")

    def stop(self) -> None:
        """End the programs; another may start then."""
        try:
            Proxied.stop(self)
        finally:
            self.lock.close()


def start(
    folder: Path, upstream: int, *, names: Mapping[str, str] = MappingProxyType({}), **server: str
) -> Gateway:
    """Start a gateway that sends requests on to the port `upstream`, and wait until it does.

    `names` are hosts that the server knows, and their addresses. `server` is what it gets in its environment.
    """
    binary = require("envoy-gateway")
    resources, home = folder / "resources", folder / "home"
    installed = home / "data" / "envoy-versions" / envoy.RELEASE / "bin"
    for made in (resources, installed):
        made.mkdir(parents=True)
    (installed / "envoy").symlink_to(require("envoy"))
    succeed(binary, "certgen", "--local", "--config-home", home / "config", env=_environment(home))
    port = free_port()
    (resources / "route.yaml").write_text(_route(home / "config" / "certs" / "envoy", port, upstream))
    settings = folder / "envoy-gateway.json"
    settings.write_text(json.dumps(_settings(resources, home), indent=1))
    mounts = hosts(folder, {_NAME: "127.0.0.1", **names}) | {
        _CERTIFICATES: home / "config/certs/envoy-gateway"
    }
    lock = _alone()
    try:
        process = Process(
            apart([binary, "server", "--config-path", settings], mounts, folder=folder),
            log=folder / "envoy-gateway.log",
            folder=folder,
            env=_environment(home) | server,
        )
    except BaseException:
        lock.close()
        raise
    gateway = Gateway(port, (process,), resources, lock)
    try:
        gateway.clear()
    except BaseException:
        gateway.stop()
        raise
    return gateway


def broken(answer: Answer) -> bool:
    """What a route answers whose plugin the server could not get."""
    return answer.status == 500


def _environment(home: Path) -> dict[str, str]:
    # Modules are kept under the home folder.
    return environment(HOME=str(home))


def _settings(resources: Path, home: Path) -> dict[str, object]:
    """The server's own settings."""
    folders = {"dataHome": "data", "configHome": "config", "stateHome": "state", "runtimeDir": "run"}
    infrastructure = {"type": "Host", "host": {key: str(home / name) for key, name in folders.items()}}
    resource = {"type": "File", "file": {"paths": [str(resources)]}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        "provider": {"type": "Custom", "custom": {"resource": resource, "infrastructure": infrastructure}},
        "extensionApis": {"enableBackend": True},
        "admin": {"address": {"host": "127.0.0.1", "port": free_port()}},
        "telemetry": {"metrics": {"prometheus": {"disable": True}}},
    }


def _route(certificates: Path, port: int, upstream: int) -> str:
    ca, certificate, key = (
        base64.b64encode((certificates / name).read_bytes()).decode()
        for name in ("ca.crt", "tls.crt", "tls.key")
    )
    return _ROUTE.substitute(
        namespace=NAMESPACE,
        gateway=GATEWAY,
        release=envoy.RELEASE,
        port=port,
        upstream=upstream,
        ca=ca,
        certificate=certificate,
        key=key,
    )


def _alone() -> IO[str]:
    """Wait until no other test runs an Envoy Gateway; closing what is returned lets the next one start."""
    lock = _LOCK.open("w")
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _locked(lock):
            assert time.monotonic() < deadline, f"another Envoy Gateway holds {_LOCK} for {_PATIENCE:g} s"
            time.sleep(0.1)
        for port, use in _PORTS.items():
            while not _is_free(port):
                assert time.monotonic() < deadline, f"port {port}, Envoy Gateway's for {use}, is taken"
                time.sleep(0.1)
    except BaseException:
        lock.close()
        raise
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
