from __future__ import annotations

import pytest

from registry.settings import Settings, SettingsInvalid, environment, load


@pytest.mark.parametrize(
    ("name", "value", "key", "expected"),
    [
        ("SIDECARGO_SERVER__PORT", "5001", "server.port", 5001),
        ("sidecargo_server__port", "5001", "server.port", 5001),
        ("SIDECARGO_SERVER", '{"port": 5001}', "server.port", 5001),
        ("SIDECARGO_STORAGE__CACHE__MEMORY", "1MiB", "storage.cache.memory", 1 << 20),
        ("SIDECARGO_ADMISSION__MODE", "off", "admission.mode", "off"),
        ("SIDECARGO_ADMISSION__SPARSE", "true", "admission.sparse", True),
        ("SIDECARGO_ADMISSION__CONSUMERS", '["istio"]', "admission.consumers", ("istio",)),
        ("SIDECARGO_SERVER__PORT", "", "server.port", 5000),
    ],
)
def test_variables(
    name: str, value: str, key: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    loaded = load()
    found: object = loaded.settings
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected
    assert loaded.origins[key] == (name if value else "default")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SIDECARGO_SERVER__PROT", "1", "SIDECARGO_SERVER__PROT: server.prot: unknown key; allowed: host, "),
        ("SIDECARGO_SERVER__PORT", "x", "SIDECARGO_SERVER__PORT: server.port: 'x' is not a whole number"),
        (
            "SIDECARGO_SERVER__PORT__X",
            "1",
            "SIDECARGO_SERVER__PORT__X: server.port: a mapping is not a whole",
        ),
        ("SIDECARGO_SERVER", "5000", "SIDECARGO_SERVER: server: 5000 is not a mapping of host, "),
        ("SIDECARGO_SERVER", '{"prot": 1}', "SIDECARGO_SERVER: server.prot: unknown key; allowed: host, "),
        (
            "SIDECARGO_SIGNING__KEYS",
            "a.pem",
            "SIDECARGO_SIGNING__KEYS: signing.keys: 'a.pem' is not a list; ",
        ),
        ("SIDECARGO_ADMISSION__CONSUMERS", "[]", "SIDECARGO_ADMISSION__CONSUMERS: admission.consumers: is e"),
        (
            "SIDECARGO_SERVRE__PORT",
            "1",
            "SIDECARGO_SERVRE__PORT: unknown variable; allowed: SIDECARGO_SERVER_",
        ),
        (
            "SIDECARGO_SERVER_PORT",
            "1",
            "SIDECARGO_SERVER_PORT: unknown variable; allowed: SIDECARGO_SERVER__",
        ),
    ],
)
def test_what_is_wrong_names_the_variable(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert [str(wrong)[: len(said)] for wrong in caught.value.wrong] == [said]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDECARGO_PORT", "tcp://10.0.0.1:5000"),
        ("SIDECARGO_SERVICE_HOST", "10.0.0.1"),
        ("SIDECARGO_SERVER_PORT", "tcp://10.0.0.1:5000"),
        ("SIDECARGO_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("SIDECARGO_SERVER_SERVICE_PORT", "5000"),
        ("SIDECARGO_SERVER_SERVICE_PORT_HTTP", "5000"),
        ("SIDECARGO_SERVER_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
        ("SIDECARGO_SERVER_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("SIDECARGO_VERSION", "1.2"),
    ],
)
def test_what_kubernetes_and_others_set_is_no_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert list(environment.unknown()) == []
    assert load().settings == Settings()
