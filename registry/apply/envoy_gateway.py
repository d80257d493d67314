"""Envoy Gateway's resource: EnvoyExtensionPolicy (gateway.envoyproxy.io/v1alpha1)."""

from __future__ import annotations

from typing import Any

from registry.apply import kubernetes
from registry.apply.options import HTTP, Options, Target
from registry.apply.pin import Pin

_API = "gateway.envoyproxy.io/v1alpha1"
_GROUP = "gateway.networking.k8s.io"


def envoy_extension_policy(pin: Pin, options: Options) -> dict[str, Any]:
    """The EnvoyExtensionPolicy of a plugin; without a target it is for every Gateway of its namespace."""
    spec: dict[str, Any] = {}
    if options.target:
        spec["targetRefs"] = [_target(target) for target in options.target]
    if options.selector or not options.target:
        spec["targetSelectors"] = [_selector(options)]
    if options.merge_type:
        spec["mergeType"] = options.merge_type
    spec["wasm"] = [_wasm(pin, options)]
    name = options.name or kubernetes.name_of(pin.repository)
    return kubernetes.resource(_API, "EnvoyExtensionPolicy", name, options.namespace, spec)


def _wasm(pin: Pin, options: Options) -> dict[str, Any]:
    said = {"name": options.plugin_name, "rootID": options.root_id}
    wasm: dict[str, Any] = {field: value for field, value in said.items() if value}
    wasm["code"] = _code(pin, options)
    if options.plugin_config is not None:
        wasm["config"] = options.plugin_config
    if options.fail_strategy:
        wasm["failOpen"] = options.fail_strategy == "FAIL_OPEN"
    if options.vm_env:
        wasm["env"] = {"hostKeys": [variable.name for variable in options.vm_env]}
    return wasm


def _code(pin: Pin, options: Options) -> dict[str, Any]:
    # `sha256` is bare hexadecimal: with "sha256:" before it, it is admitted and never matches.
    if options.by == HTTP:
        code = {"type": "HTTP", "http": {"url": pin.url, "sha256": pin.module.hex} | _tls(options)}
    else:
        image: dict[str, Any] = {"url": pin.name, "sha256": pin.image.hex}
        if options.pull_secret:
            image["pullSecretRef"] = {"name": options.pull_secret}
        code = {"type": "Image", "image": image | _tls(options)}
    return code | ({"pullPolicy": options.pull_policy} if options.pull_policy else {})


def _tls(options: Options) -> dict[str, Any]:
    if not options.ca:
        return {}
    kind, _, name = options.ca.rpartition("/")
    return {"tls": {"caCertificateRef": ({"kind": kind} if kind else {}) | {"name": name}}}


def _selector(options: Options) -> dict[str, Any]:
    selector: dict[str, Any] = {"kind": options.selector_kind or "Gateway"}
    return selector | ({"matchLabels": dict(options.selector)} if options.selector else {})


def _target(target: Target) -> dict[str, str]:
    said = {"group": _GROUP, "kind": target.kind, "name": target.name}
    return said | ({"sectionName": target.section} if target.section else {})
