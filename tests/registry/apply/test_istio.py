from typing import Any

import pytest

from registry.apply import istio
from registry.apply.options import Env, Match, Options, Target
from tests.registry.apply.cases import PIN

FULL = Options(
    name="n",
    namespace="s",
    by="http",
    target=(Target("Service", "a"), Target("ServiceEntry", "b"), Target("GatewayClass", "c")),
    phase="AUTHN",
    priority=0,
    match=(Match("SERVER", (1, 2)), Match("CLIENT")),
    type="NETWORK",
    plugin_config={"a": 1},
    plugin_name="p",
    fail_strategy="FAIL_OPEN",
    vm_env=(Env("A", ""), Env("B")),
    pull_policy="Always",
)
WHERE: dict[str, Any] = {
    "targetRefs": [
        {"group": "", "kind": "Service", "name": "a"},
        {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "b"},
        {"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "c"},
    ],
    "match": [{"mode": "SERVER", "ports": [{"number": 1}, {"number": 2}]}, {"mode": "CLIENT"}],
    "phase": "AUTHN",
    "priority": 0,
}
WASM: dict[str, Any] = {
    "url": PIN.url,
    "sha256": PIN.module.hex,
    "imagePullPolicy": "Always",
    "type": "NETWORK",
    "pluginName": "p",
    "failStrategy": "FAIL_OPEN",
    "pluginConfig": {"a": 1},
    "vmConfig": {"env": [{"name": "A", "value": ""}, {"name": "B", "valueFrom": "HOST"}]},
}


def test_a_wasm_plugin() -> None:
    assert istio.wasm_plugin(PIN, Options()) == {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "team-wasm"},
        "spec": {"url": f"oci://plugins.example.com/team/wasm@{PIN.image}"},
    }
    full = istio.wasm_plugin(PIN, FULL)
    assert (full["metadata"], full["spec"]) == ({"name": "n", "namespace": "s"}, WHERE | WASM)


def test_a_traffic_extension() -> None:
    assert istio.traffic_extension(PIN, Options()) == {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "TrafficExtension",
        "metadata": {"name": "team-wasm"},
        "spec": {"wasm": {"url": PIN.oci}},
    }
    assert istio.traffic_extension(PIN, FULL)["spec"] == WHERE | {"wasm": WASM}


@pytest.mark.parametrize("make", [istio.wasm_plugin, istio.traffic_extension])
def test_a_selector_and_a_secret(make: Any) -> None:
    spec = make(PIN, Options(selector={"app": "web"}, pull_secret="s"))["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "web"}}
    wasm = spec.get("wasm", spec)
    assert (wasm["imagePullSecret"], wasm["url"], wasm.get("sha256")) == ("s", PIN.oci, None)
