"""Option sets that users give, by kind: what is made of each must be what the real consumers take."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from registry.apply.options import KINDS, OPTIONS
from registry.apply.pin import Pin
from storage.digest import Digest

PIN = Pin("plugins.example.com", "team/wasm", Digest.of(b"image"), Digest.of(b"module"), "https", "v1")

Asked = Mapping[str, Sequence[str]]

# Strings that one parser or another takes for something else.
MISTAKABLE = (
    "1e3", "12e5", "0o17", "0x1f", "0b11", "1_000", "017", "1.5", ".5", "+1", "-1", "1:20", "12:30:45",
    "2026-01-02", "yes", "No", "on", "OFF", "y", "N", "true", "False", "null", "NULL", "~", "", " ", " a ",
    "a: b", "a #b", "#a", "- a", "?", "=", "<<", "*a", "&a", "!a", "!!str a", "%a", "@a", "`a`", "'a'", '"a"',
    "{}", "[]", "{a: b}", "[a", "|", ">", "|-\n", "---", "...", ".inf", "-.INF", ".nan", "Infinity", "NaN",
    "a\nb", "a\n\n b\n", "\ta", "a\tb", "\x07", "\x85", "\u2028", "\ufeff", "ü", "日本", "🦊", "\\n", "a\\",
    "x" * 300, "a " * 200, "0" * 64, "1" * 10 + "e" + "1" * 53, "f" * 64, "1" * 64,
)  # fmt: skip

CONFIG = {
    "text": "a",
    "number": 1,
    "float": 1.5,
    "large": 1e20,
    "whole": 10**15,
    "yes": True,
    "no": False,
    "list": [1, "2", None, {"a": []}],
    "empty": {},
    "mistakable": list(MISTAKABLE),
    **{f"key {text}"[4:]: "v" for text in ("1e3", "yes", "y", "1", "a: b", "@type", "<<", "日本")},
}

_ISTIO: Mapping[str, Asked] = {
    "selector": {"selector": ["app=web", "example.com/tier=1e3", "empty=", "on=yes", "n=y"]},
    "namespace": {"namespace": ["istio-system"], "name": ["a1"]},
    "target gateway": {"target": ["Gateway/eg"]},
    "targets": {"target": ["gatewayclass/a.b", "Service/web", "ServiceEntry/db"]},
    "most targets": {"target": [f"Service/s{number}" for number in range(16)]},
    "phase": {"phase": ["authn"], "priority": ["-2147483648"]},
    "stats": {"phase": ["STATS"], "priority": ["2147483647"]},
    "match": {"match": ["CLIENT", "server:8080,65535", ":1", "CLIENT_AND_SERVER:443"]},
    "network": {"type": ["network"], "phase": ["AUTHZ"]},
    "config": {"plugin-config": [json.dumps(CONFIG)]},
    "no config": {"plugin-config": ["{}"]},
    "plugin name": {"plugin-name": ["x" * 256]},
    "open": {"fail-strategy": ["fail-open"]},
    "close": {"fail-strategy": ["FAIL_CLOSE"]},
    "reload": {"fail-strategy": ["FAIL_RELOAD"]},
    "env": {"vm-env": ["A=1", "B=yes", "C=", "D=a=b", "HOME", "日本=\n"]},
    "pull": {"pull-policy": ["always"], "pull-secret": ["regcred"]},
    "if not present": {"pull-policy": ["IfNotPresent"]},
}
_GATEWAY: Mapping[str, Asked] = {
    "target": {"target": ["gateway/eg"], "namespace": ["apps"]},
    "targets": {"target": ["HTTPRoute/a", "GRPCRoute/b", "tcproute/c", "UDPRoute/d", "TLSRoute/e"]},
    "section": {"target": ["Gateway/eg/http", "HTTPRoute/a/rule-1", "ListenerSet/l/x"]},
    "selector": {"selector": ["app=web", "example.com/tier=1e3"]},
    "selected routes": {"selector": ["app=web"], "selector-kind": ["httproute"], "merge-type": ["JSONMerge"]},
    "both": {"selector": ["app=web"], "target": ["Gateway/eg"]},
    "merge": {"target": ["HTTPRoute/a"], "merge-type": ["StrategicMerge"]},
    "names": {"plugin-name": ["my plugin"], "root-id": ["1e3"], "name": ["0"]},
    "config": {"plugin-config": [json.dumps(CONFIG)]},
    "list as config": {"plugin-config": ["[1, 2]"]},
    "text as config": {"plugin-config": ['"yes"']},
    "open": {"fail-strategy": ["FAIL_OPEN"]},
    "close": {"fail-strategy": ["FAIL_CLOSE"]},
    "env": {"vm-env": ["HOME", "TOKEN"]},
    "pull": {"pull-policy": ["IfNotPresent"], "pull-secret": ["reg.cred"]},
    "ca": {"ca": ["registry-ca"]},
    "ca of a kind": {"ca": ["configmap/registry-ca"]},
}
_GATEWAY_BY_HTTP: Mapping[str, Asked] = {
    "ca by http": {"by": ["http"], "ca": ["Secret/registry-ca"], "pull-policy": ["Always"]},
}
_ENVOY: Mapping[str, Asked] = {
    "names": {"name": ["header"], "plugin-name": ["my plugin"], "root-id": ["yes"], "vm-id": ["1"]},
    "network": {"type": ["NETWORK"]},
    "config": {"plugin-config": [json.dumps(CONFIG)]},
    "text as config": {"plugin-config": [json.dumps("\n".join(MISTAKABLE))]},
    "open": {"fail-strategy": ["FAIL_OPEN"]},
    "close": {"fail-strategy": ["FAIL_CLOSE"]},
    "reload": {"fail-strategy": ["FAIL_RELOAD"], "reload-backoff": ["0.5"]},
    "vm": {
        "vm-config": [json.dumps(CONFIG)],
        "allow-precompiled": ["true"],
        "nack-on-code-cache-miss": ["False"],
        "allow-on-headers-stop-iteration": ["true"],
    },
    "text as vm config": {"vm-config": [json.dumps("\n".join(MISTAKABLE))]},
    "env": {"vm-env": ["A=1", "B=yes", "C=", "HOME"]},
    "capabilities": {"capability": ["proxy_log", "fd_write"]},
    "runtime": {"runtime": ["v8"]},
    "cluster": {"cluster": ["my registry"], "timeout": ["2.5"], "retries": ["0"]},
    "ca": {"ca": ["/etc/ssl/certs/ca-certificates.crt"]},
}
CASES: Mapping[str, Mapping[str, Asked]] = {
    "wasmplugin": {"nothing": {}, "by http": {"by": ["http"]}, **_ISTIO},
    "trafficextension": {"nothing": {}, "by http": {"by": ["http"]}, **_ISTIO},
    "envoyextensionpolicy": {"nothing": {}, "by http": {"by": ["http"]}, **_GATEWAY, **_GATEWAY_BY_HTTP},
    "envoy": {"nothing": {}, "by http": {"by": ["http"]}, **_ENVOY},
}


def everything(kind: str) -> Asked:
    """All options at once that may stand together."""
    asked: dict[str, Sequence[str]] = {}
    for name, case in CASES[kind].items():
        if name not in ("targets", "most targets", "target gateway", "both", "section", "by http"):
            asked |= case
    asked.pop("merge-type", None)
    asked.pop("selector-kind", None)
    if asked.get("by") == ["http"]:
        asked.pop("pull-secret", None)
    return asked


def params(kinds: Collection[str] = tuple(KINDS)) -> list[Any]:
    """All cases of some kinds as parameters of a test: (kind, asked)."""
    return [
        pytest.param(kind, asked, id=f"{kind} {name}")
        for kind in kinds
        for name, asked in {**CASES[kind], "everything": everything(kind)}.items()
    ]


def unused() -> dict[str, set[str]]:
    """Options that no case of their kind gives."""
    return {
        kind: {name for name, option in OPTIONS.items() if kind in option.kinds}
        - {name for case in cases.values() for name in case}
        for kind, cases in CASES.items()
    }
