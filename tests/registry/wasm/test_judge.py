from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from registry.releases import ENVOYS
from registry.verdict import Problem
from registry.wasm.judge import judge
from registry.wasm.module import NotAModule, read
from tests.registry.wasm import binary
from tests.registry.wasm.binary import function, name

ABI = '(func (export "proxy_abi_version_0_2_1"))'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 0))'
GOOD = ABI + MALLOC


def _judged(data: bytes) -> tuple[Problem, ...]:
    return judge(read(data), data)


def _wat(*parts: str) -> bytes:
    return bytes(wat2wasm(f"(module {' '.join(parts)})"))


def _with(data: bytes, tail: bytes) -> bytes:
    return data + tail


NOISY = _wat(
    "(type $s (struct (field i32)))",
    '(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))',
    GOOD,
    "(memory 1) (table 4 funcref) (tag $e (param i32)) (global $g i32 (i32.const 8))",
    "(func $f (param i32) try local.get 0 drop catch $e drop catch_all rethrow 0 end)",
    "(func (param i32) local.get 0 br_table 0 0)",
    '(elem (i32.const 1) $f) (data (global.get $g) "abc") (data (i32.const 2) "d")',
)
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
        ["no-abi", "go-program"],
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
    pytest.param(_with(_wat(ABI), CPP), ["no-malloc"], "malloc", id="c++ without malloc"),
    pytest.param(_with(_wat(ABI), GO), ["no-malloc"], "proxywasm", id="go without malloc"),
]


@pytest.mark.parametrize(("data", "codes", "fix"), TABLE)
def test_judge(data: bytes, codes: list[str], fix: str) -> None:
    problems = _judged(data)
    assert [problem.code for problem in problems] == codes
    assert fix in (problems[0].fix if problems else "")
    for problem in problems:
        assert problem.message
        assert problem.fix
        assert len(str(problem)) <= 200, str(problem)


def test_the_words_are_envoys() -> None:
    said = [problem.message for problem in _judged(_wat('(import "env" "g" (global i32))'))]
    assert said == [
        "Envoy: Missing or unknown Proxy-Wasm ABI version: it exports nothing.",
        "Envoy: Failed to load Wasm module due to a missing import: env.g.",
        "Envoy: Wasm module is missing malloc function.",
    ]


def test_the_builder_makes_a_good_plugin() -> None:
    assert _judged(binary.plugin()) == ()
    assert name("x") == b"\x01x"


ACCEPT = '(import "wasi_unstable" "sock_accept" (func (param i32 i32 i32) (result i32)))'
NOWHERE = '(import "env" "nowhere" (func))'


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(
            (ACCEPT, GOOD), [("missing-import", "sock_accept", ENVOYS[:3])], id="an import since 1.39"
        ),
        pytest.param((NOWHERE, GOOD), [("missing-import", "nowhere", ())], id="an import nobody has"),
        pytest.param(
            (ACCEPT, NOWHERE, GOOD),
            [("missing-import", "nowhere", ENVOYS[3:]), ("missing-import", "sock_accept", ENVOYS[:3])],
            id="each release stops at its first",
        ),
        pytest.param(
            (GOOD, '(func (export "_initialize"))', '(func (export "__main_void"))'),
            [("bad-signature", "__main_void", ENVOYS[3:])],
            id="a callback since 1.39",
        ),
    ],
)
def test_releases(parts: tuple[str, ...], expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    found = _judged(_wat(*parts))
    assert [(problem.code, problem.envoys) for problem in found] == [
        (code, envoys) for code, _, envoys in expected
    ]
    for problem, (_, says, _) in zip(found, expected, strict=True):
        assert says in problem.message
        whose = f"Envoy {problem.envoys[0]} to {problem.envoys[-1]}: " if problem.envoys else "Envoy: "
        assert problem.message.startswith(whose)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        pytest.param(
            _wat(GOOD, "(func (result i32))", "(memory 1)", '(data (i32.const 65536) "x")'),
            ["wasm-invalid"],
            id="segments of what is invalid are not looked at",
        ),
        pytest.param(
            _wat(GOOD, "(memory 16385)", '(data (i32.const -1) "x")'),
            ["memory-too-large", "segment-out-of-bounds"],
            id="instance",
        ),
        pytest.param(binary.plugin(tail=binary.custom("name", b"\xff")), ["wasm-names"], id="names"),
        pytest.param(
            _wat('(import "env" "v" (func (param v128)))', ABI, '(tag (export "t"))'),
            ["type-crash", "missing-import", "exported-tag", "no-malloc"],
            id="in the order of Envoy",
        ),
    ],
)
def test_order(data: bytes, codes: list[str]) -> None:
    assert [problem.code for problem in _judged(data)] == codes


@settings(max_examples=300)
@given(st.data())
def test_noise_never_breaks_it(data: st.DataObject) -> None:
    raw = bytearray(NOISY)
    for at, value in data.draw(st.lists(st.tuples(st.integers(8, 400), st.integers(0, 255)), max_size=4)):
        raw[at % len(raw)] = value
    try:
        module = read(raw)
    except NotAModule:
        return
    for problem in judge(module, raw):
        assert problem.fix
        assert len(problem.message) <= 250
