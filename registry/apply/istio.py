"""Istio's resources: WasmPlugin, and TrafficExtension from Istio 1.30 (extensions.istio.io/v1alpha1)."""

from __future__ import annotations

from typing import Any

from registry.apply import kubernetes
from registry.apply.options import HTTP, Env, Match, Options, Target
from registry.apply.pin import Pin

_API = "extensions.istio.io/v1alpha1"
_GROUPS = {
    "Gateway": "gateway.networking.k8s.io",
    "GatewayClass": "gateway.networking.k8s.io",
    "Service": "",
    "ServiceEntry": "networking.istio.io",
}


def wasm_plugin(pin: Pin, options: Options) -> dict[str, Any]:
    """The WasmPlugin of a plugin."""
    spec = _where(options) | _wasm(pin, options)
    return _resource("WasmPlugin", pin, options, spec)


def traffic_extension(pin: Pin, options: Options) -> dict[str, Any]:
    """The TrafficExtension of a plugin."""
    return _resource("TrafficExtension", pin, options, _where(options) | {"wasm": _wasm(pin, options)})


def _resource(kind: str, pin: Pin, options: Options, spec: dict[str, Any]) -> dict[str, Any]:
    name = options.name or kubernetes.name_of(pin.repository)
    return kubernetes.resource(_API, kind, name, options.namespace, spec)


def _where(options: Options) -> dict[str, Any]:
    """Which proxies and which traffic: the part that both resources have at their top."""
    spec: dict[str, Any] = {}
    if options.selector:
        spec["selector"] = {"matchLabels": dict(options.selector)}
    if options.target:
        spec["targetRefs"] = [_target(target) for target in options.target]
    if options.match:
        spec["match"] = [_match(match) for match in options.match]
    if options.phase:
        spec["phase"] = options.phase
    if options.priority is not None:
        spec["priority"] = options.priority
    return spec


def _wasm(pin: Pin, options: Options) -> dict[str, Any]:
    # In the URL of an image its digest is what the agent compares; of a download it is `sha256`.
    by_url = options.by == HTTP
    spec: dict[str, Any] = {"url": pin.url, "sha256": pin.module.hex} if by_url else {"url": pin.oci}
    said = {
        "imagePullPolicy": options.pull_policy,
        "imagePullSecret": options.pull_secret,
        "type": options.type,
        "pluginName": options.plugin_name,
        "failStrategy": options.fail_strategy,
    }
    spec |= {field: value for field, value in said.items() if value}
    if options.plugin_config is not None:
        spec["pluginConfig"] = options.plugin_config
    if options.vm_env:
        spec["vmConfig"] = {"env": [_env(variable) for variable in options.vm_env]}
    return spec


def _target(target: Target) -> dict[str, str]:
    return {"group": _GROUPS[target.kind], "kind": target.kind, "name": target.name}


def _match(match: Match) -> dict[str, Any]:
    said: dict[str, Any] = {"mode": match.mode} if match.mode else {}
    return said | ({"ports": [{"number": port} for port in match.ports]} if match.ports else {})


def _env(variable: Env) -> dict[str, str]:
    if variable.value is None:
        return {"name": variable.name, "valueFrom": "HOST"}
    return {"name": variable.name, "value": variable.value}
