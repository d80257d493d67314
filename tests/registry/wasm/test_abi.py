from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.abi import abi_version, judge
from registry.wasm.module import read
from tests.registry.wasm import binary
from tests.registry.wasm.binary import function, name

ABI = '(func (export "proxy_abi_version_0_2_1"))'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 0))'
GOOD = ABI + MALLOC


def _wat(*parts: str) -> bytes:
    return bytes(wat2wasm(f"(module {' '.join(parts)})"))


def _with(data: bytes, tail: bytes) -> bytes:
    return data + tail


RUST = binary.producers(language=[("Rust", "")], processed_by=[("rustc", "1.90.0")])
GO = binary.producers(language=[("Go", "go1.26")], processed_by=[("Go cmd/compile", "go1.26")])
CPP = binary.producers(language=[("C_plus_plus_17", "")], processed_by=[("clang", "20")])

# name, module, the codes in order, what the first fix says
TABLE = [
    pytest.param(_wat(GOOD), [], "", id="good"),
    pytest.param(_wat(ABI.replace("2_1", "2_0"), MALLOC), [], "", id="0_2_0"),
    pytest.param(_wat(ABI.replace("2_1", "1_0"), MALLOC), [], "", id="0_1_0"),
    pytest.param(_wat(ABI, MALLOC.replace("malloc", "proxy_on_memory_allocate")), [], "", id="own allocator"),
    pytest.param(_wat('(import "env" "memory" (memory 1))', GOOD), [], "", id="imported memory"),
    pytest.param(_wat('(import "env" "t" (table 1 funcref))', GOOD), [], "", id="imported table"),
    pytest.param(
        _wat('(import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))', GOOD),
        [],
        "",
        id="wasi",
    ),
    pytest.param(
        _wat(ABI.replace("2_1", "9_9"), ABI.replace("2_1", "2_0"), MALLOC), [], "", id="one known version"
    ),
    pytest.param(binary.HEADER, ["no-abi", "no-malloc"], "Proxy-Wasm SDK", id="empty module"),
    pytest.param(_wat(MALLOC), ["no-abi"], "Proxy-Wasm SDK", id="no abi"),
    pytest.param(_wat(ABI.replace("2_1", "3_0"), MALLOC), ["unknown-abi"], "0_2_1", id="unknown abi"),
    pytest.param(
        _wat('(global (export "proxy_abi_version_0_2_1") i32 (i32.const 0))', MALLOC),
        ["abi-not-a-function"],
        "function",
        id="abi is a global",
    ),
    pytest.param(_wat(ABI), ["no-malloc"], "proxy_on_memory_allocate", id="no allocator"),
    pytest.param(
        _wat(ABI, '(memory (export "malloc") 1)'), ["no-malloc"], "Export malloc", id="malloc is a memory"
    ),
    pytest.param(
        _wat('(import "env" "e" (tag))', GOOD), ["imported-tag"], "-fno-exceptions", id="imported tag"
    ),
    pytest.param(
        _wat('(import "env" "g" (global i32))', GOOD), ["missing-import"], "statically", id="imported global"
    ),
    pytest.param(
        _wat('(import "env" "e" (tag))', '(import "env" "g" (global i32))'),
        ["no-abi", "imported-tag", "missing-import", "no-malloc"],
        "",
        id="all at once",
    ),
    pytest.param(
        binary.plugin(imported=[function("env", "abort")]),
        ["missing-import"],
        "--use abort=abort_proc_exit",
        id="assemblyscript abort",
    ),
    pytest.param(
        binary.plugin(imported=[function("__wbindgen_placeholder__", "__wbindgen_throw")]),
        ["missing-import"],
        "wasm-bindgen",
        id="wasm-bindgen",
    ),
    pytest.param(
        binary.plugin(imported=[function("gojs", "runtime.wasmExit")]),
        ["missing-import"],
        "GOOS=wasip1",
        id="go for js",
    ),
    pytest.param(
        binary.plugin(imported=[function("wasi:cli/exit@0.2.0", "exit")]),
        ["missing-import"],
        "wasm32-wasip1",
        id="wasi preview 2",
    ),
    pytest.param(
        binary.plugin(imported=[function("x" * 3000, "y" * 3000)]), ["missing-import"], "env", id="long names"
    ),
    pytest.param(
        _with(_wat('(func (export "_start"))', MALLOC), GO),
        ["no-abi"],
        "-buildmode=c-shared",
        id="go program",
    ),
    pytest.param(
        _with(_wat('(func (export "_initialize"))', MALLOC), GO),
        ["no-abi"],
        "SetVMContext",
        id="go library without the sdk",
    ),
    pytest.param(
        _with(_wat('(func (export "_start"))', MALLOC), RUST), ["no-abi"], "cdylib", id="rust program"
    ),
    pytest.param(
        _with(_wat(MALLOC, '(func (export "__new"))'), b""), ["no-abi"], "proxy-runtime", id="assemblyscript"
    ),
    pytest.param(_with(_wat(MALLOC), CPP), ["no-abi"], "proxy_wasm_cc_binary", id="c++"),
    pytest.param(_with(_wat(ABI), CPP), ["no-malloc"], "EXPORTED_FUNCTIONS=_malloc", id="c++ without malloc"),
    pytest.param(_with(_wat(ABI), GO), ["no-malloc"], "proxywasm", id="go without malloc"),
]


@pytest.mark.parametrize(("data", "codes", "fix"), TABLE)
def test_judge(data: bytes, codes: list[str], fix: str) -> None:
    problems = judge(read(data))
    assert [problem.code for problem in problems] == codes
    assert fix in (problems[0].fix if problems else "")
    for problem in problems:
        assert problem.message
        assert problem.fix
        assert len(str(problem)) <= 200, str(problem)


def test_the_words_are_envoys() -> None:
    said = [problem.message for problem in judge(read(_wat('(import "env" "g" (global i32))')))]
    assert said == [
        "Envoy: Missing or unknown Proxy-Wasm ABI version: it exports nothing.",
        "Envoy: Failed to load Wasm module due to a missing import: env.g.",
        "Envoy: Wasm module is missing malloc function.",
    ]


@pytest.mark.parametrize(
    ("exports", "version"),
    [
        pytest.param(["proxy_abi_version_0_2_0", "proxy_abi_version_0_1_0"], "0_2_0", id="the first counts"),
        pytest.param(["proxy_abi_version_0_2_1"], "0_2_1", id="one"),
        pytest.param(["proxy_abi_version_0_2_10"], None, id="no prefix match"),
        pytest.param(["0_2_1"], None, id="no prefix"),
        pytest.param([], None, id="none"),
    ],
)
def test_abi_version(exports: list[str], version: str | None) -> None:
    module = read(_wat(*(f'(func (export "{title}"))' for title in exports)))
    assert abi_version(module) == version


def test_the_builder_makes_a_good_plugin() -> None:
    assert judge(read(binary.plugin())) == ()
    assert name("x") == b"\x01x"
