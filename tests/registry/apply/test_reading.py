from __future__ import annotations

import pytest

from registry.apply import reading
from registry.apply.options import ISTIO, KINDS, OPTIONS, Env, Match, OptionInvalid, Options, Target
from tests.registry.apply import cases
from tests.registry.apply.cases import Asked

EEP = "envoyextensionpolicy"


@pytest.mark.parametrize(("kind", "asked"), cases.params())
def test_every_case_is_read(kind: str, asked: Asked) -> None:
    options = reading.read(kind, asked)
    nothing = Options()
    given = {OPTIONS[name].field for name in asked}
    assert given == {name for name in Options.__slots__ if getattr(options, name) != getattr(nothing, name)}


def test_what_is_read() -> None:
    options = reading.read("wasmplugin", cases.CASES["wasmplugin"]["match"])
    assert options.match == (
        Match("CLIENT"),
        Match("SERVER", (8080, 65535)),
        Match("", (1,)),
        Match("CLIENT_AND_SERVER", (443,)),
    )
    asked: Asked = {
        "selector": ["app=web", "empty="],
        "vm-env": ["A=b=c", "B=", "C"],
        "priority": ["-5"],
        "phase": ["authz"],
        "fail-strategy": ["fail-reload"],
        "plugin-config": ['{"a": 1}'],
        "pull-policy": ["ALWAYS"],
        "type": ["network"],
        "by": ["OCI"],
    }
    assert reading.read("wasmplugin", asked) == Options(
        selector={"app": "web", "empty": ""},
        vm_env=(Env("A", "b=c"), Env("B", ""), Env("C")),
        priority=-5,
        phase="AUTHZ",
        fail_strategy="FAIL_RELOAD",
        plugin_config={"a": 1},
        pull_policy="Always",
        type="NETWORK",
        by="oci",
    )
    targets = reading.read(EEP, {"target": ["gateway/eg/http", "HTTPROUTE/a"]}).target
    assert targets == (Target("Gateway", "eg", "http"), Target("HTTPRoute", "a"))
    assert reading.read("envoy", {"timeout": ["5"]}).timeout == "5s"
    assert reading.read("envoy", {"timeout": ["0.5s"]}).timeout == "0.5s"
    assert reading.read("envoy", {"plugin-config": ["[]"]}).plugin_config == []
    assert reading.read("wasmplugin", {"plugin-config": ["{}"]}).plugin_config == {}


def wrong() -> list[object]:
    """(kinds, asked, the option that is blamed, a part of what is said)"""
    rows: list[tuple[object, Asked, str, str]] = [
        (KINDS, {"nmae": ["a"]}, "nmae", "is no option. There are name,"),
        (KINDS, {"name": ["a", "b"]}, "name", "given too often"),
        (KINDS, {"name": ["A"]}, "name", "'A' is not a name for Kubernetes. Use up to 63"),
        (KINDS, {"name": ["a" * 64]}, "name", "not a name for Kubernetes"),
        (KINDS, {"name": [""]}, "name", "not a name for Kubernetes"),
        (KINDS, {"plugin-name": ["a\nb"]}, "plugin-name", "cannot be printed"),
        (KINDS, {"plugin-name": ["x" * 257]}, "plugin-name", "1 to 256"),
        (KINDS, {"plugin-config": ["{"]}, "plugin-config", "is not JSON"),
        (KINDS, {"vm-env": ["=a"]}, "vm-env", "is no variable"),
        (KINDS, {"vm-env": ["A", "A"]}, "vm-env", "names 'A' twice"),
        (KINDS, {"fail-strategy": ["open"]}, "fail-strategy", "is none of FAIL_CLOSE, FAIL_OPEN"),
        (KINDS, {"by": ["ftp"]}, "by", "is none of oci, http"),
        (("wasmplugin", "trafficextension", EEP), {"namespace": ["a.b"]}, "namespace", "not a name"),
        (("wasmplugin", "trafficextension", EEP), {"selector": ["app"]}, "selector", "KEY=VALUE"),
        (("wasmplugin", "trafficextension", EEP), {"selector": ["a=*"]}, "selector", "is no label"),
        (("wasmplugin", "trafficextension", EEP), {"selector": ["a=1", "a=2"]}, "selector", "'a' twice"),
        (("wasmplugin", "trafficextension", EEP), {"target": ["Pod/a"]}, "target", "none of these kinds"),
        (("wasmplugin", "trafficextension", EEP), {"target": ["Gateway"]}, "target", "Write KIND/NAME"),
        (("wasmplugin", "trafficextension", EEP), {"target": ["Gateway/A"]}, "target", "names no resource"),
        (("wasmplugin", "trafficextension", EEP), {"target": ["Gateway/a"] * 2}, "target", "twice"),
        (("wasmplugin", "trafficextension", EEP), {"pull-policy": ["Never"]}, "pull-policy", "IfNotPresent"),
        (("wasmplugin", "trafficextension", EEP), {"pull-secret": ["A"]}, "pull-secret", "not a name"),
        (
            ("wasmplugin", "trafficextension", EEP),
            {"pull-secret": ["a"], "by": ["http"]},
            "pull-secret",
            "without credentials",
        ),
        (ISTIO, {"target": ["Gateway/a"], "selector": ["a=b"]}, "target", "exclude each other"),
        (ISTIO, {"target": [f"Service/s{n}" for n in range(17)]}, "target", "more than 16"),
        (ISTIO, {"target": ["Gateway/a/b"]}, "target", "Write KIND/NAME."),
        (ISTIO, {"target": ["HTTPRoute/a"]}, "target", "none of these kinds"),
        (ISTIO, {"phase": ["FIRST"]}, "phase", "AUTHN, AUTHZ, STATS"),
        (ISTIO, {"priority": [str(2**31)]}, "priority", "no whole number"),
        (ISTIO, {"priority": ["1.5"]}, "priority", "no whole number"),
        (ISTIO, {"priority": ["١"]}, "priority", "no whole number"),
        (ISTIO, {"match": [""]}, "match", "SERVER:8080,9090"),
        (ISTIO, {"match": ["BOTH"]}, "match", "no choice of traffic"),
        (ISTIO, {"match": ["SERVER:0"]}, "match", "no choice of traffic"),
        (ISTIO, {"match": ["SERVER:65536"]}, "match", "no choice of traffic"),
        (ISTIO, {"match": ["SERVER:80,80"]}, "match", "no choice of traffic"),
        (ISTIO, {"match": ["SERVER:80,"]}, "match", "no choice of traffic"),
        (ISTIO, {"plugin-config": ["[1]"]}, "plugin-config", "is an object"),
        (ISTIO, {"root-id": ["a"]}, "root-id", "Istio calls it plugin-name."),
        (ISTIO, {"ca": ["a"]}, "ca", "SSL_CERT_FILE"),
        (ISTIO, {"local": ["/a"]}, "local", "is not for"),
        (ISTIO, {"vm-env": ["A=" + "x" * 2049]}, "vm-env", "up to 2048"),
        ((EEP,), {"phase": ["AUTHN"]}, "phase", "is not for EnvoyExtensionPolicy. The order of filters"),
        ((EEP,), {"fail-strategy": ["FAIL_RELOAD"]}, "fail-strategy", "FAIL_CLOSE or FAIL_OPEN"),
        (("envoy",), {"reload-backoff": ["1"]}, "reload-backoff", "is for fail-strategy FAIL_RELOAD"),
        (("envoy",), {"allow-precompiled": ["1"]}, "allow-precompiled", "is none of true, false"),
        ((EEP,), {"vm-env": ["A=b"]}, "vm-env", "Leave out =VALUE."),
        ((EEP,), {"selector-kind": ["HTTPRoute"]}, "selector-kind", "needs a selector"),
        ((EEP,), {"merge-type": ["JSONMerge"]}, "merge-type", "is for routes only"),
        ((EEP,), {"merge-type": ["JSONMerge"], "target": ["Gateway/a"]}, "merge-type", "routes only"),
        ((EEP,), {"merge-type": ["Replace"], "target": ["HTTPRoute/a"]}, "merge-type", "StrategicMerge"),
        ((EEP,), {"target": ["Gateway/a/b/c"]}, "target", "KIND/NAME/SECTION"),
        ((EEP,), {"ca": ["Pod/a"]}, "ca", "Secret, ConfigMap, ClusterTrustBundle"),
        ((EEP,), {"ca": ["Secret/A"]}, "ca", "not a name"),
        ((EEP,), {"plugin-config": ["null"]}, "plugin-config", "is null"),
        (("envoy",), {"by": ["oci"]}, "by", "pulls no images"),
        (("envoy",), {"local": ["/a"], "by": ["http"]}, "by", "Leave out local."),
        (("envoy",), {"local": ["/a"], "retries": ["0"]}, "retries", "Leave out local."),
        (("envoy",), {"local": [""]}, "local", "is no path"),
        (("envoy",), {"local": ["/a\nb"]}, "local", "cannot be printed"),
        (("envoy",), {"pull-secret": ["a"]}, "pull-secret", "without credentials"),
        (("envoy",), {"namespace": ["a"]}, "namespace", "is not for Envoy's configuration."),
        (("envoy",), {"timeout": ["0"]}, "timeout", "Write 30s"),
        (("envoy",), {"timeout": ["1m"]}, "timeout", "no time in seconds"),
        (("envoy",), {"retries": ["-1"]}, "retries", "no whole number from 0"),
        (("envoy",), {"runtime": ["null"]}, "runtime", "v8, wamr, wasmtime"),
        (("envoy",), {"capability": ["Proxy Log"]}, "capability", "no host function"),
    ]
    return [
        pytest.param(kind, asked, option, said, id=f"{kind} {str(asked)[:60]}")
        for kinds, asked, option, said in rows
        for kind in kinds  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(("kind", "asked", "option", "said"), wrong())
def test_what_is_wrong(kind: str, asked: Asked, option: str, said: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        reading.read(kind, asked)
    assert caught.value.option == option
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_option_that_a_kind_has_not_is_refused() -> None:
    for kind in KINDS:
        for name, option in OPTIONS.items():
            if kind not in option.kinds:
                with pytest.raises(OptionInvalid, match=f"{name} is not for"):
                    reading.read(kind, {name: ["a"]})


def test_nothing_may_be_repeated_for_ever() -> None:
    with pytest.raises(OptionInvalid, match="given too often"):
        reading.read("wasmplugin", {"vm-env": [f"V{number}" for number in range(257)]})
