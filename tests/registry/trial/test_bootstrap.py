from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry.trial.bootstrap import PLAIN, TRIED, Plan, bootstrap

PLAN = Plan(
    module="/t/plugin.wasm",
    admin_socket="/t/admin",
    upstream=1,
    stub=2,
    configuration='{"a": 1}',
    root_id="root",
    clusters=("authz", "authz", "rates"),
)


def addresses(document: Any) -> Iterator[dict[str, Any]]:
    """Every address in a configuration."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if key == "address" and isinstance(value, dict) and not value.get("address"):
            yield value
        if isinstance(value, dict | list):
            yield from addresses(value)


def test_it_listens_for_this_machine_alone() -> None:
    found = list(addresses(bootstrap(PLAN)))
    assert found[0] == {"pipe": {"path": "/t/admin", "mode": 0o600}}
    assert {one["socket_address"]["address"] for one in found[1:]} == {"127.0.0.1"}
    ports = [one["socket_address"]["port_value"] for one in found[1:]]
    assert ports == [0, 0, 1, 2, 2], "listeners take what the kernel gives; clusters are ours"


def test_the_listeners_differ_by_the_plugin_alone() -> None:
    plain, tried = bootstrap(PLAN)["static_resources"]["listeners"]
    assert (plain["name"], tried["name"]) == (PLAIN, TRIED)
    filters = [
        listener["filter_chains"][0]["filters"][0]["typed_config"].pop("http_filters")
        for listener in (plain, tried)
    ]
    assert [[one["name"] for one in chain] for chain in filters] == [
        ["envoy.filters.http.router"],
        ["envoy.filters.http.wasm", "envoy.filters.http.router"],
    ]
    for listener in (plain, tried):
        del listener["name"]
        del listener["filter_chains"][0]["filters"][0]["typed_config"]["stat_prefix"]
    assert plain == tried


def test_what_the_plugin_is_given() -> None:
    tried = bootstrap(PLAN)["static_resources"]["listeners"][1]
    wasm = tried["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"]
    config = wasm["config"]
    assert (config["root_id"], config["configuration"]["value"]) == ("root", '{"a": 1}')
    assert config["vm_config"]["code"] == {"local": {"filename": "/t/plugin.wasm"}}


def test_a_cluster_is_there_once_and_is_never_our_own() -> None:
    (own,) = bootstrap(Plan("m", "a", 1, 2))["static_resources"]["clusters"]
    found = bootstrap(Plan("m", "a", 1, 2, clusters=("b", "b", own["name"])))["static_resources"]["clusters"]
    assert [one["name"] for one in found] == [own["name"], "b"]
    assert found[0] == own
