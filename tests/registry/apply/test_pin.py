from dataclasses import replace

from tests.registry.apply.cases import PIN


def test_urls() -> None:
    by_digest = f"plugins.example.com/team/wasm@{PIN.image}"
    assert (PIN.name, PIN.oci) == (by_digest, f"oci://{by_digest}")
    assert PIN.url == f"https://plugins.example.com/plugins/team/wasm@{PIN.image}/plugin.wasm"
    assert replace(PIN, scheme="http", host="a:1").url.startswith("http://a:1/plugins/team/wasm@sha256:")


def test_what_the_reader_knows_it_by() -> None:
    assert PIN.shown == "plugins.example.com/team/wasm:v1"
    assert replace(PIN, tag="").shown == PIN.name


def test_a_url_that_needs_no_login_is_not_shown() -> None:
    private = replace(PIN, capability="scu_x")
    assert private.url == f"https://plugins.example.com/plugins/team/wasm@{PIN.image}/scu_x/plugin.wasm"
    assert "scu_x" not in repr(private)
    assert (private.name, private.oci) == (PIN.name, PIN.oci)
