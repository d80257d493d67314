from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.link import callback_problems, import_problems
from registry.wasm.module import read
from registry.wasm.sdk import Sdk

LOG = '(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 0))'


def _imports(text: str, envoy: str = "1.40", abi: str | None = "0_2_1") -> list[tuple[str, str]]:
    module = read(wat2wasm(f"(module {text})"))
    found = import_problems(module, envoy, abi, Sdk.UNKNOWN, frozenset())
    return [(problem.code, problem.message) for problem in found]


def _callbacks(text: str, envoy: str = "1.40", abi: str | None = "0_2_1") -> list[tuple[str, str]]:
    module = read(wat2wasm(f"(module {text})"))
    found = callback_problems(module, envoy, abi, Sdk.UNKNOWN)
    return [(problem.code, problem.message) for problem in found]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LOG, id="function"),
        pytest.param('(import "env" "memory" (memory 1 65536))', id="memory"),
        pytest.param('(import "env" "memory" (memory 16384))', id="memory of 1 GiB"),
        pytest.param('(import "x" "y" (table 1 externref))', id="table of any name"),
        pytest.param("(memory i64 1) (memory 1 2 shared)", id="own memories"),
    ],
)
def test_imports_that_envoy_has(text: str) -> None:
    assert _imports(text) == []


LOAD = "Envoy: Failed to load Wasm module due to"
INSTANCE = "Envoy: Failed to create new Wasm instance"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        pytest.param(
            '(import "env" "f" (func))', "missing-import", f"{LOAD} a missing import: env.f.", id="unknown"
        ),
        pytest.param(
            '(import "env" "g" (global i32))',
            "missing-import",
            f"{LOAD} a missing import: env.g.",
            id="global",
        ),
        pytest.param(
            '(import "env" "proxy_log" (func (param i32 f32)))',
            "import-mismatch",
            f"{LOAD} an import type mismatch: env.proxy_log, want: i32 f32 -> void, "
            "but host exports: i32 i32 i32 -> i32.",
            id="signature",
        ),
        pytest.param(
            '(import "env" "proxy_log" (func (param (ref func))))',
            "import-mismatch",
            f"{LOAD} an import type mismatch: env.proxy_log, want: funcref -> void, "
            "but host exports: i32 i32 i32 -> i32.",
            id="reference",
        ),
        pytest.param(
            '(import "env" "proxy_continue_request" (func (result i32)))',
            "missing-import",
            f"{LOAD} a missing import: env.proxy_continue_request.",
            id="of another ABI",
        ),
        pytest.param(
            LOG + '(import "env" "a" (func)) (import "env" "b" (func))',
            "missing-import",
            f"{LOAD} a missing import: env.a.",
            id="the first counts",
        ),
        pytest.param(
            '(import "env" "m" (memory i64 1))',
            "imported-memory",
            f"{INSTANCE}: it imports a 64-bit memory, Envoy gives a plain one.",
            id="64-bit memory",
        ),
        pytest.param(
            '(import "env" "m" (memory 1 2 shared))',
            "imported-memory",
            f"{INSTANCE}: it imports a shared memory, Envoy gives a plain one.",
            id="shared memory",
        ),
        pytest.param(
            '(import "env" "t" (table i64 1 funcref))',
            "imported-table",
            f"{INSTANCE}: it imports a 64-bit table, Envoy gives a plain one.",
            id="64-bit table",
        ),
        pytest.param(
            '(import "env" "t" (table 1 (ref func)))',
            "imported-table",
            f"{INSTANCE}: it imports a table of (ref func), Envoy gives a plain one.",
            id="table without null",
        ),
        pytest.param(
            '(import "env" "m" (memory 16385))',
            "memory-too-large",
            "Envoy: Failed to initialize Wasm code: it imports a memory of 16385 pages, "
            "16384 (1 GiB) is the limit.",
            id="large memory",
        ),
    ],
)
def test_imports_that_envoy_lacks(text: str, code: str, message: str) -> None:
    assert _imports(text) == [(code, message)]


@pytest.mark.parametrize(
    ("envoy", "abi", "codes"),
    [
        ("1.38", "0_2_1", ["missing-import"]),
        ("1.39", "0_2_1", []),
        ("1.39", None, []),
    ],
)
def test_imports_by_release(envoy: str, abi: str | None, codes: list[str]) -> None:
    text = '(import "wasi_unstable" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))'
    assert [code for code, _ in _imports(text, envoy, abi)] == codes


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(MALLOC, id="allocator"),
        pytest.param(MALLOC.replace("malloc", "proxy_on_memory_allocate"), id="own allocator"),
        pytest.param(
            MALLOC + '(func (export "proxy_on_tick") (param i32)) (func (export "proxy_zip") (param f64))',
            id="a callback and what is none",
        ),
        pytest.param(MALLOC + '(global (export "proxy_on_tick") i32 (i32.const 0))', id="no function"),
        pytest.param(MALLOC + '(func (export "main"))', id="main without _initialize"),
    ],
)
def test_callbacks_as_envoy_wants_them(text: str) -> None:
    assert _callbacks(text) == []


BAD = "Envoy: Bad function signature for:"
NO_MALLOC = ("no-malloc", "Envoy: Wasm module is missing malloc function.")


@pytest.mark.parametrize(
    ("text", "abi", "expected"),
    [
        pytest.param("", "0_2_1", [NO_MALLOC], id="no allocator"),
        pytest.param(
            '(func (export "malloc"))',
            "0_2_1",
            [
                ("bad-signature", f"{BAD} malloc, want: i32 -> i32, but the module exports: void -> void."),
                NO_MALLOC,
            ],
            id="malloc of another signature",
        ),
        pytest.param(
            MALLOC + '(func (export "proxy_on_response_headers") (param i32 i32) (result i32) i32.const 0)',
            "0_2_0",
            [
                (
                    "bad-signature",
                    f"{BAD} proxy_on_response_headers, want: i32 i32 i32 -> i32, "
                    "but the module exports: i32 i32 -> i32.",
                )
            ],
            id="headers of another ABI",
        ),
        pytest.param(
            MALLOC + '(func (export "proxy_on_response_headers") (param i32 i32) (result i32) i32.const 0)',
            "0_1_0",
            [],
            id="headers of this ABI",
        ),
        pytest.param(
            MALLOC + '(func (export "_initialize") (param i32)) (func (export "_start") (param i64))',
            "0_2_1",
            [
                (
                    "bad-signature",
                    f"{BAD} _initialize, want: void -> void, but the module exports: i32 -> void.",
                ),
                ("bad-signature", f"{BAD} _start, want: void -> void, but the module exports: i64 -> void."),
            ],
            id="start is looked for when _initialize is unusable",
        ),
    ],
)
def test_callbacks_that_envoy_refuses(text: str, abi: str, expected: list[tuple[str, str]]) -> None:
    assert _callbacks(text, abi=abi) == expected


def test_not_every_bad_signature_is_listed() -> None:
    names = ("tick", "log", "done", "delete", "configure", "vm_start", "queue_ready")
    text = "".join(f'(func (export "proxy_on_{name}") (param f64))' for name in names)
    assert len(_callbacks(MALLOC + text)) == 5
