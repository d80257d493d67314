"""A whole Istio on this machine, without Kubernetes: a plugin's resource goes in, requests go through.

istiod       Istio's discovery server with Istio's own translation and validation (`istiod/main.go`, over
             istio.io/istio/pilot/test/xds); it takes resources over HTTP where Kubernetes' API would be
pilot-agent  of the same release of Istio: it fetches the modules, and starts and configures Envoy
Envoy        the release of `envoy.RELEASE`

Istiod and the agent know each other by certificates: to others istiod gives no Secrets.
The gateway is istio-system's `istio: ingressgateway`, as in a fresh installation. Every port is a free one,
on loopback but for that of the agent's status. The agent keeps modules under /var/lib/istio/data, where it
sees a folder of the test (`apart.py`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import MappingProxyType

from tests.real.apart import apart, hosts
from tests.real.process import Process, Word, environment, free_port, succeed
from tests.real.proxied import Proxied, plain
from tests.real.tools import ROOT, missing, require
from tests.real.web import Answer, answers, request
from tests.registry.certificates import Authority, Files

NAMESPACE = "istio-system"
GATEWAY = {"istio": "ingressgateway"}
"""The labels of the gateway, for a resource's selector."""
PLACE = (
    "--namespace",
    NAMESPACE,
    *(word for label in GATEWAY.items() for word in ("--selector", "=".join(label))),
)
"""What makes `sidecargo yaml` print a resource for the gateway."""
MODULES = Path("/var/lib/istio/data")
"""Where the agent keeps modules."""

_ACCOUNT = "gateway"

# Filters that only Istio's own build of Envoy has.
_STOCK_ENVOY = {"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_ALPN_FILTER": "false"}

# What sends every request of the gateway's port on to the upstream.
_ROUTE = Template("""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ingress, namespace: $namespace}
spec:
  selector: {istio: ingressgateway}
  servers:
    - hosts: ["*"]
      bind: 127.0.0.1
      port: {number: $port, name: http, protocol: HTTP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: upstream, namespace: $namespace}
spec:
  hosts: [upstream.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: $upstream}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ingress, namespace: $namespace}
spec:
  hosts: ["*"]
  gateways: [ingress]
  http: [{route: [{destination: {host: upstream.test, port: {number: 80}}}]}]
""")


@dataclass(frozen=True, slots=True)
class Mesh(Proxied):
    """A running Istio; `control` is where it takes resources, `route` the resources that it always has."""

    control: str
    route: str = field(repr=False)

    def apply(self, *documents: str) -> None:
        """What `kubectl apply` does: from now on these resources count, and those of before no longer.

        Fails with Istio's words when its validation does not let one pass.
        """
        answer = request("PUT", self.control, body="\n---\n".join([self.route, *documents]).encode())
        assert answer.status == 200, f"istiod does not take it: {answer.body.decode()}"

    def clear(self) -> None:
        """Take every plugin away and wait until none is seen."""
        self.apply()
        self.until(plain, "answer without a plugin")


def start(
    folder: Path, upstream: int, *, names: Mapping[str, str] = MappingProxyType({}), **agent: str
) -> Mesh:
    """Start a mesh whose gateway sends requests on to the port `upstream`, and wait until it does.

    `names` are hosts that the agent knows, and their addresses. `agent` is what it gets in its environment:
    WASM_INSECURE_REGISTRIES, SSL_CERT_FILE…
    """
    istiod_binary, agent_binary, envoy_binary = require("istiod"), require("pilot-agent"), require("envoy")
    (folder / "modules").mkdir(parents=True)
    authority = Authority(folder)
    own = authority.make("istiod")
    workload = authority.make("workload", also=[f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{_ACCOUNT}"])
    discovery, control, port = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", free_port()
    mutual: list[Word] = ["-root", authority.root, "-certificate", own.certificate, "-key", own.key]
    istiod = Process(
        [istiod_binary, "-discovery", discovery, "-control", control, *mutual],
        log=folder / "istiod.log",
        folder=folder,
        env=environment(**_STOCK_ENVOY),
    )
    istiod.wait_until(lambda: answers(f"http://{control}/resources"))
    try:
        proxy = Process(
            _agent(folder, agent_binary, names),
            log=folder / "agent.log",
            folder=folder,
            env=_environment(folder, envoy_binary, discovery, authority.root, workload) | agent,
        )
    except BaseException:
        istiod.stop()
        raise
    route = _ROUTE.substitute(namespace=NAMESPACE, port=port, upstream=upstream)
    mesh = Mesh(port, (istiod, proxy), f"http://{control}/resources", route)
    try:
        mesh.clear()
    except BaseException:
        mesh.stop()
        raise
    return mesh


def denied(answer: Answer) -> bool:
    """What the agent's deny-all filter answers in place of a plugin that it could not get."""
    return (answer.status, answer.body) == (403, b"RBAC: access denied")


def _agent(folder: Path, binary: Path, names: Mapping[str, str]) -> list[Word]:
    command: list[Word] = [binary, "proxy", "router", "--domain", f"{NAMESPACE}.svc.cluster.local"]
    return apart(command, {MODULES: folder / "modules"} | hosts(folder, names), folder=folder)


def _environment(folder: Path, envoy: Path, discovery: str, root: Path, workload: Files) -> dict[str, str]:
    certificates = {
        "ISTIO_META_TLS_CLIENT_ROOT_CERT": root,
        "ISTIO_META_TLS_CLIENT_CERT_CHAIN": workload.certificate,
        "ISTIO_META_TLS_CLIENT_KEY": workload.key,
    }
    settings = {
        "discoveryAddress": discovery,
        "proxyMetadata": {name: str(file) for name, file in certificates.items()},
        "binaryPath": str(envoy),
        "configPath": str(folder / "proxy"),
        "proxyAdminPort": free_port(),
        "statusPort": free_port(),
        "concurrency": 1,
        "terminationDrainDuration": "1s",
    }
    return environment(
        POD_NAME="gateway",
        POD_NAMESPACE=NAMESPACE,
        INSTANCE_IP="127.0.0.1",
        SERVICE_ACCOUNT=_ACCOUNT,
        ISTIO_METAJSON_LABELS=json.dumps(GATEWAY),
        ISTIO_META_CLUSTER_ID="Kubernetes",
        FILE_MOUNTED_CERTS="true",
        ISTIO_BOOTSTRAP=str(_bootstrap()),
        ENVOY_STATUS_PORT=str(free_port()),
        ENVOY_PROMETHEUS_PORT=str(free_port()),
        PROXY_CONFIG=json.dumps(settings),
    )


def _bootstrap() -> Path:
    """Istio's own template of Envoy's first configuration, out of the module that istiod is built from."""
    if shutil.which("go") is None:
        missing("Go is not installed")
    module = succeed("go", "mod", "download", "-json", "istio.io/istio", folder=ROOT / "tests/real/istiod")
    return Path(json.loads(module.out)["Dir"]) / "tools/packaging/common/envoy_bootstrap.json"
