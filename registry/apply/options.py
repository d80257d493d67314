"""What a user may say about a resource, and which kind has it.

Command line and HTTP share this table: an option `fail-strategy` is `--fail-strategy` on the one and the
parameter `fail-strategy` on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS: Mapping[str, str] = {
    "wasmplugin": "WasmPlugin",
    "trafficextension": "TrafficExtension",
    "envoyextensionpolicy": "EnvoyExtensionPolicy",
    "envoy": "Envoy's configuration",
}
"""The kinds of output, and how each is called in a sentence."""

ISTIO = ("wasmplugin", "trafficextension")
_GATEWAY = "envoyextensionpolicy"
_ENVOY = "envoy"
_RESOURCES = (*ISTIO, _GATEWAY)
_ALL = (*_RESOURCES, _ENVOY)

OCI, HTTP = "oci", "http"
FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")
NETWORK = "NETWORK"


@dataclass(frozen=True, slots=True)
class Target:
    """A resource that the plugin is attached to, perhaps a section of it (a gateway's listener)."""

    kind: str
    name: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Traffic that passes the plugin: by direction ("": both) and by port (none: all)."""

    mode: str = ""
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Env:
    """An environment variable of the plugin; `value` is None for that of the proxy's own environment."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """All options, read and found consistent; "" and None where one was not given."""

    name: str = ""
    namespace: str = ""
    by: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)
    selector_kind: str = ""
    target: tuple[Target, ...] = ()
    merge_type: str = ""
    phase: str = ""
    priority: int | None = None
    match: tuple[Match, ...] = ()
    type: str = ""
    plugin_config: Any = None
    plugin_name: str = ""
    root_id: str = ""
    fail_strategy: str = ""
    vm_env: tuple[Env, ...] = ()
    pull_policy: str = ""
    pull_secret: str = ""
    ca: str = ""
    vm_id: str = ""
    vm_config: Any = None
    allow_precompiled: bool | None = None
    nack_on_code_cache_miss: bool | None = None
    allow_on_headers_stop_iteration: bool | None = None
    reload_backoff: str = ""
    runtime: str = ""
    capability: tuple[str, ...] = ()
    local: str = ""
    cluster: str = ""
    timeout: str = ""
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table: its name, who has it, the form of its value, what it does."""

    name: str
    kinds: tuple[str, ...]
    form: str
    help: str
    repeated: bool = False

    @property
    def field(self) -> str:
        """Its field in Options."""
        return self.name.replace("-", "_")


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("name", _ALL, "NAME", "Name of the resource; without it, the repository's with dashes."),
        Option("namespace", _RESOURCES, "NAMESPACE", "Namespace of the resource."),
        Option("by", _ALL, "oci|http", "Pull the image (oci), or download plugin.wasm (http)."),
        Option("selector", _RESOURCES, "KEY=VALUE", "Label of the pods or gateways that get it.", True),
        Option("selector-kind", (_GATEWAY,), "KIND", "What the selector selects; without it, Gateway."),
        Option("target", _RESOURCES, "KIND/NAME", "Resource to attach it to.", True),
        Option("merge-type", (_GATEWAY,), "TYPE", "How to merge with the policy of the parent."),
        Option("phase", ISTIO, "PHASE", "AUTHN, AUTHZ or STATS: where in the chain of filters."),
        Option("priority", ISTIO, "NUMBER", "Order in the phase, the highest first."),
        Option(
            "match", ISTIO, "[MODE][:PORT,…]", "Traffic: CLIENT, SERVER or CLIENT_AND_SERVER, ports.", True
        ),
        Option("type", (*ISTIO, _ENVOY), "HTTP|NETWORK", "Kind of filter."),
        Option("plugin-config", _ALL, "JSON", "Configuration of the plugin."),
        Option("plugin-name", _ALL, "NAME", "Name of the plugin; in Istio it is the root id."),
        Option("root-id", (_GATEWAY, _ENVOY), "ID", "Root context of the plugin."),
        Option("fail-strategy", _ALL, "STRATEGY", "FAIL_CLOSE, FAIL_OPEN or FAIL_RELOAD."),
        Option("vm-env", _ALL, "NAME[=VALUE]", "Variable for the plugin; without =, the proxy's own.", True),
        Option("pull-policy", _RESOURCES, "POLICY", "IfNotPresent or Always."),
        Option("pull-secret", _RESOURCES, "SECRET", "Secret with credentials of the registry."),
        Option("ca", (_GATEWAY, _ENVOY), "CA", "[KIND/]NAME of its certificate; for envoy, a file there."),
        Option("vm-id", (_ENVOY,), "ID", "Plugins of one id and one module share a VM."),
        Option("vm-config", (_ENVOY,), "JSON", "Configuration of the VM, which proxy_on_vm_start reads."),
        Option("allow-precompiled", (_ENVOY,), "true|false", "Run native code that the module has with it."),
        Option("nack-on-code-cache-miss", (_ENVOY,), "true|false", "Refuse what is not downloaded yet."),
        Option(
            "allow-on-headers-stop-iteration",
            (_ENVOY,),
            "true|false",
            "Let the plugin stop at headers while a body goes on.",
        ),
        Option("reload-backoff", (_ENVOY,), "SECONDS", "Between two tries of FAIL_RELOAD; without it, 1s."),
        Option("runtime", (_ENVOY,), "RUNTIME", "v8, wamr or wasmtime; without it, v8."),
        Option("capability", (_ENVOY,), "NAME", "Allow the plugin this host function, and only those.", True),
        Option("local", (_ENVOY,), "PATH", "Load the module from this file on Envoy's machine."),
        Option("cluster", (_ENVOY,), "NAME", "Name of the registry's cluster."),
        Option("timeout", (_ENVOY,), "SECONDS", "Longest download; without it, 30s."),
        Option("retries", (_ENVOY,), "NUMBER", "Tries after a failed download; without it, 5."),
    )
}

WHY_NOT: Mapping[tuple[str, str], str] = {
    **{(kind, "root-id"): "Istio calls it plugin-name." for kind in ISTIO},
    **{(kind, "ca"): "istio-agent takes SSL_CERT_FILE from the proxy's container." for kind in ISTIO},
    (_GATEWAY, "phase"): "The order of filters is the EnvoyProxy's filterOrder.",
    (_GATEWAY, "priority"): "The order of filters is the EnvoyProxy's filterOrder.",
    (_GATEWAY, "match"): "Give a target, such as HTTPRoute/NAME.",
    (_GATEWAY, "type"): "It is always an HTTP filter.",
    (_ENVOY, "pull-secret"): "Envoy downloads without credentials.",
    (_ENVOY, "pull-policy"): "Envoy keeps a module by its hash.",
    (_ENVOY, "phase"): "Put the filter where it belongs in the chain.",
    (_ENVOY, "priority"): "Put the filter where it belongs in the chain.",
}
"""What to do instead, where a kind has no such option."""


class OptionInvalid(Exception):
    """An option that is wrong: `option` is its name, `message` and `fix` follow after it in a sentence.

    `beside` is another option that these name.
    """

    def __init__(self, option: str, message: str, fix: str = "", *, beside: str = "") -> None:
        super().__init__(f"{option} {message} {fix}".rstrip())
        self.option = option
        self.message = message
        self.fix = fix
        self.beside = beside
