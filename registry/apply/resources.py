"""The kinds of output: who consumes each, and its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from registry.apply import envoy, envoy_gateway, istio, text
from registry.apply.options import HTTP, Options
from registry.apply.pin import Pin

_ENVOY = "envoy"

_CONSUMERS: Mapping[str, str] = {
    "wasmplugin": "istio",
    "trafficextension": "istio",
    "envoyextensionpolicy": "envoy-gateway",
    _ENVOY: _ENVOY,
}
_MAKERS: Mapping[str, Callable[[Pin, Options], dict[str, Any]]] = {
    "wasmplugin": istio.wasm_plugin,
    "trafficextension": istio.traffic_extension,
    "envoyextensionpolicy": envoy_gateway.envoy_extension_policy,
    _ENVOY: envoy.envoy,
}


def is_downloaded(kind: str, options: Options) -> bool:
    """Whether the consumer downloads plugin.wasm from the registry: it must serve `/plugins/`."""
    return options.by == HTTP or (kind == _ENVOY and not options.local)


def consumer(kind: str, options: Options) -> str:
    """Whose verdict counts: who takes the image apart, or, where there is only the module, Envoy."""
    return _ENVOY if options.by == HTTP else _CONSUMERS[kind]


def render(kind: str, pin: Pin, options: Options) -> str:
    """What to apply, of a kind of KINDS, as YAML."""
    lines = [f"{pin.shown}, pinned by its digest. For another version, print this anew."]
    if pin.capability:
        lines.append(
            "Its URL needs no login: keep it as a secret, for whoever has it may download the module."
        )
        lines.append(f"To end all such URLs of it: sidecargo url {pin.name} --revoke")
    if kind == _ENVOY:
        lines += envoy.comments(pin, options)
    return text.document(_MAKERS[kind](pin, options), lines)
