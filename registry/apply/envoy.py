"""Envoy's own configuration: the filter, and the cluster of the registry that its module comes from.

Fields: envoy/extensions/wasm/v3/wasm.proto, envoy/config/core/v3/base.proto (AsyncDataSource).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from registry.apply import kubernetes, values
from registry.apply.options import NETWORK, Options
from registry.apply.pin import Pin

_TYPES = "type.googleapis.com/"
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
_FAILURE_POLICIES = {"FAIL_CLOSE": "FAIL_CLOSED"}


def envoy(pin: Pin, options: Options) -> dict[str, Any]:
    """The parts of a configuration: the filter, and where Envoy downloads its module, the cluster."""
    is_network = options.type == NETWORK
    layer = "network" if is_network else "http"
    entry = {
        "name": f"envoy.filters.{layer}.wasm",
        "typed_config": {
            "@type": f"{_TYPES}envoy.extensions.filters.{layer}.wasm.v3.Wasm",
            "config": _plugin(pin, options),
        },
    }
    said: dict[str, Any] = {"filters" if is_network else "http_filters": [entry]}
    return said if options.local else said | {"clusters": [_cluster(pin, options)]}


def comments(pin: Pin, options: Options) -> list[str]:
    """Where its parts belong, and what no field can say."""
    layer = "filters of a filter chain" if options.type == NETWORK else "http_filters of a connection manager"
    lines = [f"The filter goes into the {layer}, before the last one."]
    if options.local:
        lines.append(f"Envoy compares no hash of a file; this one is to have the sha256 {pin.module.hex}.")
    else:
        lines.append("The cluster goes into static_resources.clusters, once for all plugins of its registry.")
    return lines


def _plugin(pin: Pin, options: Options) -> dict[str, Any]:
    plugin: dict[str, Any] = {
        "name": options.plugin_name or options.name or kubernetes.name_of(pin.repository)
    }
    if options.root_id:
        plugin["root_id"] = options.root_id
    plugin["vm_config"] = _vm(pin, options)
    if options.plugin_config is not None:
        plugin["configuration"] = _string(options.plugin_config)
    if options.fail_strategy:
        plugin["failure_policy"] = _FAILURE_POLICIES.get(options.fail_strategy, options.fail_strategy)
    if options.capability:
        allowed: dict[str, Any] = {name: {} for name in options.capability}
        plugin["capability_restriction_config"] = {"allowed_capabilities": allowed}
    if options.reload_backoff:
        plugin["reload_config"] = {"backoff": {"base_interval": options.reload_backoff}}
    if options.allow_on_headers_stop_iteration is not None:
        plugin["allow_on_headers_stop_iteration"] = options.allow_on_headers_stop_iteration
    return plugin


def _string(config: Any) -> dict[str, Any]:
    """A configuration as its plugin reads it: a text as it is, other values as JSON."""
    value = config if isinstance(config, str) else values.compact(config)
    return {"@type": f"{_TYPES}google.protobuf.StringValue", "value": value}


def _vm(pin: Pin, options: Options) -> dict[str, Any]:
    vm: dict[str, Any] = {"vm_id": options.vm_id} if options.vm_id else {}
    vm["runtime"] = f"envoy.wasm.runtime.{options.runtime or 'v8'}"
    vm["code"] = {"local": {"filename": options.local}} if options.local else _remote(pin, options)
    if options.vm_config is not None:
        vm["configuration"] = _string(options.vm_config)
    if options.allow_precompiled is not None:
        vm["allow_precompiled"] = options.allow_precompiled
    if options.nack_on_code_cache_miss is not None:
        vm["nack_on_code_cache_miss"] = options.nack_on_code_cache_miss
    given = {variable.name: variable.value for variable in options.vm_env if variable.value is not None}
    own = [variable.name for variable in options.vm_env if variable.value is None]
    if options.vm_env:
        vm["environment_variables"] = ({"host_env_keys": own} if own else {}) | (
            {"key_values": given} if given else {}
        )
    return vm


def _remote(pin: Pin, options: Options) -> dict[str, Any]:
    uri = {"uri": pin.url, "cluster": _cluster_name(pin, options), "timeout": options.timeout or "30s"}
    return {
        "remote": {
            "http_uri": uri,
            "sha256": pin.module.hex,
            # Envoy's default is a single retry after a second: a start waits for this download.
            "retry_policy": {
                "num_retries": 5 if options.retries is None else options.retries,
                "retry_back_off": {"base_interval": "1s", "max_interval": "10s"},
            },
        }
    }


def _cluster_name(pin: Pin, options: Options) -> str:
    return options.cluster or re.sub("[^A-Za-z0-9]+", "_", pin.host).strip("_")


def _cluster(pin: Pin, options: Options) -> dict[str, Any]:
    host, port = _address(pin)
    is_ip = _is_ip(host)
    name = _cluster_name(pin, options)
    address = {"socket_address": {"address": host, "port_value": port}}
    cluster: dict[str, Any] = {"name": name, "type": "STATIC" if is_ip else "LOGICAL_DNS"}
    if not is_ip:
        # With ALL it tries one address after another, of both families, as a browser does.
        cluster["dns_lookup_family"] = "ALL"
    cluster["connect_timeout"] = "5s"
    cluster["load_assignment"] = {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    }
    if pin.scheme == "https":
        cluster["transport_socket"] = _tls(host, is_ip, options)
    return cluster


def _tls(host: str, is_ip: bool, options: Options) -> dict[str, Any]:
    name = {"san_type": "IP_ADDRESS" if is_ip else "DNS", "matcher": {"exact": host}}
    validation = {
        "trusted_ca": {"filename": options.ca or _TRUSTED},
        "match_typed_subject_alt_names": [name],
    }
    context: dict[str, Any] = {
        "@type": f"{_TYPES}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    }
    if not is_ip:  # RFC 6066, section 3: no addresses
        context["sni"] = host
    context["common_tls_context"] = {"validation_context": validation}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _address(pin: Pin) -> tuple[str, int]:
    """Host and port to connect to; an IPv6 address without its brackets."""
    default = 443 if pin.scheme == "https" else 80
    if pin.host.startswith("["):
        host, _, port = pin.host[1:].partition("]")
        return host, int(port[1:]) if port else default
    host, _, port = pin.host.partition(":")
    return host, int(port) if port else default


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
