from dataclasses import replace
from typing import Any

import pytest

from registry.apply import envoy
from registry.apply.options import Env, Options
from tests.registry.apply.cases import PIN


def plugin(options: Options) -> dict[str, Any]:
    (entry,) = envoy.envoy(PIN, options)["http_filters"]
    found: dict[str, Any] = entry["typed_config"]["config"]
    return found


def cluster(host: str, scheme: str, **options: Any) -> dict[str, Any]:
    pin = replace(PIN, host=host, scheme=scheme)
    (found,) = envoy.envoy(pin, Options(**options))["clusters"]
    return dict(found)


def test_a_download() -> None:
    said = envoy.envoy(PIN, Options())
    assert set(said) == {"http_filters", "clusters"}
    (entry,) = said["http_filters"]
    assert entry["name"] == "envoy.filters.http.wasm"
    assert plugin(Options()) == {
        "name": "team-wasm",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {
                "remote": {
                    "http_uri": {"uri": PIN.url, "cluster": "plugins_example_com", "timeout": "30s"},
                    "sha256": PIN.module.hex,
                    "retry_policy": {
                        "num_retries": 5,
                        "retry_back_off": {"base_interval": "1s", "max_interval": "10s"},
                    },
                }
            },
        },
    }
    options = Options(cluster="c", timeout="5s", retries=0)
    remote = plugin(options)["vm_config"]["code"]["remote"]
    assert remote["http_uri"] == {"uri": PIN.url, "cluster": "c", "timeout": "5s"}
    assert remote["retry_policy"]["num_retries"] == 0
    (named,) = envoy.envoy(PIN, options)["clusters"]
    assert (named["name"], named["load_assignment"]["cluster_name"]) == ("c", "c")


def test_a_file() -> None:
    said = envoy.envoy(PIN, Options(local="/etc/plugin.wasm"))
    assert set(said) == {"http_filters"}
    found = plugin(Options(local="/etc/plugin.wasm"))["vm_config"]["code"]
    assert found == {"local": {"filename": "/etc/plugin.wasm"}}
    assert PIN.module.hex in " ".join(envoy.comments(PIN, Options(local="/etc/plugin.wasm")))


def test_what_of_the_vm_is_said_only_where_it_was_given() -> None:
    options = Options(
        vm_config={"a": 1},
        allow_precompiled=False,
        nack_on_code_cache_miss=True,
        allow_on_headers_stop_iteration=False,
        fail_strategy="FAIL_RELOAD",
        reload_backoff="2s",
    )
    found = plugin(options)
    vm = found["vm_config"]
    assert vm["configuration"]["value"] == '{"a":1}'
    assert (vm["allow_precompiled"], vm["nack_on_code_cache_miss"]) == (False, True)
    assert found["allow_on_headers_stop_iteration"] is False
    assert found["reload_config"] == {"backoff": {"base_interval": "2s"}}
    plain = plugin(Options())
    assert not {"configuration", "allow_precompiled", "nack_on_code_cache_miss"} & set(plain["vm_config"])
    assert not {"reload_config", "allow_on_headers_stop_iteration"} & set(plain)


def test_the_plugin() -> None:
    options = Options(
        plugin_name="p",
        root_id="r",
        vm_id="v",
        runtime="wamr",
        plugin_config={"a": [1]},
        fail_strategy="FAIL_CLOSE",
        vm_env=(Env("A", "1"), Env("B")),
        capability=("proxy_log",),
    )
    found = plugin(options)
    assert (found["name"], found["root_id"], found["failure_policy"]) == ("p", "r", "FAIL_CLOSED")
    assert found["configuration"] == {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": '{"a":[1]}',
    }
    assert found["capability_restriction_config"] == {"allowed_capabilities": {"proxy_log": {}}}
    vm = found["vm_config"]
    assert (vm["vm_id"], vm["runtime"]) == ("v", "envoy.wasm.runtime.wamr")
    assert vm["environment_variables"] == {"host_env_keys": ["B"], "key_values": {"A": "1"}}
    assert plugin(Options(plugin_config="a: b"))["configuration"]["value"] == "a: b"
    assert plugin(Options(name="n"))["name"] == "n"


@pytest.mark.parametrize("strategy", ["FAIL_OPEN", "FAIL_RELOAD"])
def test_fail_policies(strategy: str) -> None:
    assert plugin(Options(fail_strategy=strategy))["failure_policy"] == strategy


def test_a_network_filter() -> None:
    said = envoy.envoy(PIN, Options(type="NETWORK"))
    (entry,) = said["filters"]
    assert entry["name"] == "envoy.filters.network.wasm"
    assert entry["typed_config"]["@type"].endswith("/envoy.extensions.filters.network.wasm.v3.Wasm")
    assert "filter chain" in envoy.comments(PIN, Options(type="NETWORK"))[0]


@pytest.mark.parametrize(
    ("host", "scheme", "kind", "address", "port"),
    [
        ("a.example.com", "https", "LOGICAL_DNS", "a.example.com", 443),
        ("a.example.com:5000", "https", "LOGICAL_DNS", "a.example.com", 5000),
        ("localhost", "http", "LOGICAL_DNS", "localhost", 80),
        ("10.0.0.1:5000", "http", "STATIC", "10.0.0.1", 5000),
        ("[::1]", "https", "STATIC", "::1", 443),
        ("[::1]:5000", "http", "STATIC", "::1", 5000),
    ],
)
def test_the_cluster(host: str, scheme: str, kind: str, address: str, port: int) -> None:
    found = cluster(host, scheme)
    assert found["type"] == kind
    assert found.get("dns_lookup_family") == ("ALL" if kind == "LOGICAL_DNS" else None)
    (endpoint,) = found["load_assignment"]["endpoints"][0]["lb_endpoints"]
    socket = {"address": address, "port_value": port}
    assert endpoint == {"endpoint": {"address": {"socket_address": socket}}}
    assert ("transport_socket" in found) is (scheme == "https")


def test_tls() -> None:
    context = cluster("a.example.com:1", "https")["transport_socket"]["typed_config"]
    assert context["sni"] == "a.example.com"
    assert context["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "a.example.com"}}],
    }
    context = cluster("10.0.0.1", "https", ca="/ca.pem")["transport_socket"]["typed_config"]
    assert "sni" not in context
    validation = context["common_tls_context"]["validation_context"]
    assert validation["trusted_ca"] == {"filename": "/ca.pem"}
    assert validation["match_typed_subject_alt_names"][0]["san_type"] == "IP_ADDRESS"
