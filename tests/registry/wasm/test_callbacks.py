from __future__ import annotations

import pytest

from registry.wasm.callbacks import CALLBACKS
from registry.wasm.hosts import ABIS
from tests.documents import table


def _sought(name: str, envoy: str, abi: str | None, usable: set[str]) -> list[str]:
    return [
        callback.signature.as_printed()
        for callback in CALLBACKS
        if callback.name == name and callback.sought(envoy, abi, usable)
    ]


@pytest.mark.parametrize(
    ("name", "envoy", "abi", "usable", "signatures"),
    [
        pytest.param("proxy_on_tick", "1.36", "0_1_0", set(), ["i32 -> void"], id="always"),
        pytest.param("proxy_on_tick", "1.36", None, set(), ["i32 -> void"], id="without an ABI"),
        pytest.param(
            "proxy_on_request_headers", "1.40", "0_1_0", set(), ["i32 i32 -> i32"], id="headers, first ABI"
        ),
        pytest.param(
            "proxy_on_request_headers", "1.40", "0_2_0", set(), ["i32 i32 i32 -> i32"], id="headers, later"
        ),
        pytest.param("proxy_on_request_headers", "1.40", None, set(), [], id="headers, no ABI"),
        pytest.param("proxy_on_foreign_function", "1.40", "0_1_0", set(), [], id="foreign, first ABI"),
        pytest.param("main", "1.40", "0_2_1", set(), [], id="main alone"),
        pytest.param("main", "1.40", "0_2_1", {"_initialize"}, ["i32 i32 -> i32"], id="main of a reactor"),
        pytest.param("__main_void", "1.38", "0_2_1", {"_initialize"}, [], id="before 1.39"),
        pytest.param("__main_void", "1.39", "0_2_1", {"_initialize"}, ["void -> i32"], id="since 1.39"),
        pytest.param("_start", "1.40", "0_2_1", {"_initialize"}, [], id="start of a reactor"),
        pytest.param("_start", "1.40", "0_2_1", set(), ["void -> void"], id="start of a command"),
        pytest.param("proxy_on_memory_allocate", "1.40", "0_2_1", {"malloc"}, [], id="second allocator"),
        pytest.param("proxy_on_memory_allocate", "1.40", "0_2_1", set(), ["i32 -> i32"], id="own allocator"),
    ],
)
def test_sought(name: str, envoy: str, abi: str | None, usable: set[str], signatures: list[str]) -> None:
    assert _sought(name, envoy, abi, usable) == signatures


def test_the_document_has_the_same_callbacks_in_order() -> None:
    expected = [
        [
            callback.name,
            callback.signature.as_printed(),
            "all" if callback.abis == ABIS else ", ".join(callback.abis),
            callback.since or "all",
            f"with `{callback.provided}"
            if callback.provided
            else f"without `{callback.unless}"
            if callback.unless
            else "always",
        ]
        for callback in CALLBACKS
    ]
    assert table("envoy-releases.md", "export") == expected
