from __future__ import annotations

import pytest

from registry.releases import ENVOYS
from registry.wasm.hosts import ABIS, HOST_FUNCTIONS, host_function
from tests.documents import table

OLD = ("1.36", "1.37", "1.38")
NEW = ("1.39", "1.40")


@pytest.mark.parametrize(
    ("module", "name", "abis", "envoys"),
    [
        pytest.param("env", "proxy_log", ABIS, ENVOYS, id="everywhere"),
        pytest.param("env", "proxy_get_log_level", ("0_2_1",), ENVOYS, id="newest ABI"),
        pytest.param("env", "proxy_continue_request", ("0_1_0",), ENVOYS, id="first ABI"),
        pytest.param("env", "proxy_continue_stream", ("0_2_0", "0_2_1"), ENVOYS, id="later ABIs"),
        pytest.param("env", "envoy_resolve_dns", ABIS, ENVOYS, id="Envoy's own"),
        pytest.param("wasi_unstable", "fd_write", ABIS, ENVOYS, id="WASI"),
        pytest.param("wasi_snapshot_preview1", "sock_accept", ABIS, NEW, id="WASI since 1.39"),
        pytest.param("wasi_unstable", "clock_res_get", ABIS, NEW, id="the same by its old name"),
    ],
)
def test_who_offers(module: str, name: str, abis: tuple[str, ...], envoys: tuple[str, ...]) -> None:
    found = host_function(module, name)
    assert found is not None
    offers = [(envoy, abi) for envoy in ENVOYS for abi in ABIS if found.offered(envoy, abi)]
    assert offers == [(envoy, abi) for envoy in ENVOYS for abi in ABIS if envoy in envoys and abi in abis]
    assert found.offered("1.40", None)


@pytest.mark.parametrize(
    ("module", "name"),
    [("env", "fd_write"), ("wasi_unstable", "proxy_log"), ("wasi", "fd_write"), ("env", "abort"), ("", "")],
)
def test_nobody_offers(module: str, name: str) -> None:
    assert host_function(module, name) is None


def test_the_document_has_the_same_functions() -> None:
    rows = {
        ("env" if row[0] == "env" else "wasi_snapshot_preview1", row[1]): row[2:]
        for row in table("envoy-releases.md", "module")
    }
    expected = {
        (found.module, found.name): [
            found.signature.as_printed(),
            "all" if found.abis == ABIS else ", ".join(found.abis),
            found.since or "all",
        ]
        for found in HOST_FUNCTIONS
        if found.module != "wasi_unstable"
    }
    assert rows == expected
    wasi = {
        module: [
            (found.name, found.signature, found.since) for found in HOST_FUNCTIONS if found.module == module
        ]
        for module in ("wasi_unstable", "wasi_snapshot_preview1")
    }
    assert wasi["wasi_unstable"] == wasi["wasi_snapshot_preview1"]
