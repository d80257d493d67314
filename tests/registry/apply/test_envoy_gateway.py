from registry.apply.envoy_gateway import envoy_extension_policy
from registry.apply.options import Env, Options, Target
from tests.registry.apply.cases import PIN

NAME = f"plugins.example.com/team/wasm@{PIN.image}"


def test_without_options_it_is_for_every_gateway_of_its_namespace() -> None:
    assert envoy_extension_policy(PIN, Options()) == {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "metadata": {"name": "team-wasm"},
        "spec": {
            "targetSelectors": [{"kind": "Gateway"}],
            "wasm": [{"code": {"type": "Image", "image": {"url": NAME, "sha256": PIN.image.hex}}}],
        },
    }


def test_with_all_options() -> None:
    options = Options(
        name="n",
        namespace="s",
        target=(Target("Gateway", "eg", "http"), Target("HTTPRoute", "a")),
        selector={"app": "web"},
        selector_kind="GRPCRoute",
        merge_type="JSONMerge",
        plugin_config=[1],
        plugin_name="p",
        root_id="r",
        fail_strategy="FAIL_OPEN",
        vm_env=(Env("HOME"),),
        pull_policy="Always",
        pull_secret="secret",
        ca="ConfigMap/ca",
    )
    group = "gateway.networking.k8s.io"
    found = envoy_extension_policy(PIN, options)
    assert found["metadata"] == {"name": "n", "namespace": "s"}
    assert found["spec"] == {
        "targetRefs": [
            {"group": group, "kind": "Gateway", "name": "eg", "sectionName": "http"},
            {"group": group, "kind": "HTTPRoute", "name": "a"},
        ],
        "targetSelectors": [{"kind": "GRPCRoute", "matchLabels": {"app": "web"}}],
        "mergeType": "JSONMerge",
        "wasm": [
            {
                "name": "p",
                "rootID": "r",
                "code": {
                    "type": "Image",
                    "image": {
                        "url": NAME,
                        "sha256": PIN.image.hex,
                        "pullSecretRef": {"name": "secret"},
                        "tls": {"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}},
                    },
                    "pullPolicy": "Always",
                },
                "config": [1],
                "failOpen": True,
                "env": {"hostKeys": ["HOME"]},
            }
        ],
    }


def test_by_http() -> None:
    options = Options(by="http", ca="ca", fail_strategy="FAIL_CLOSE", target=(Target("Gateway", "eg"),))
    spec = envoy_extension_policy(PIN, options)["spec"]
    assert "targetSelectors" not in spec
    tls = {"caCertificateRef": {"name": "ca"}}
    code = {"type": "HTTP", "http": {"url": PIN.url, "sha256": PIN.module.hex, "tls": tls}}
    assert spec["wasm"] == [{"code": code, "failOpen": False}]
