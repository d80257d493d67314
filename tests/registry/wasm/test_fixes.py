from __future__ import annotations

import pytest

from registry.wasm import fixes
from registry.wasm.fixes import fix
from registry.wasm.sdk import Sdk

CODES = [
    "no-abi",
    "no-malloc",
    "missing-import",
    "unknown-abi",
    "abi-not-a-function",
    "imported-tag",
    "go-program",
]

# SDK, kind and name of the import, a part of the fix
IMPORTS = [
    (Sdk.GO, "func gojs.runtime.wasmExit", "not for GOOS=js"),
    (Sdk.GO, "func wasi_snapshot_preview1.sock_accept", "proxywasm.DispatchHttpCall"),
    (Sdk.RUST, "func wasi_snapshot_preview1.fd_readdir", "dispatch_http_call"),
    (Sdk.UNKNOWN, "func wasi_unstable.sock_open", "proxy_http_call"),
    (Sdk.RUST, "func wbg.__wbg_new", "No JavaScript"),
    (Sdk.RUST, "func __wbindgen_placeholder__.__wbindgen_describe", "No JavaScript"),
    (Sdk.UNKNOWN, "func ./plugin_bg.js.__wbg_log", "without wasm-bindgen"),
    (Sdk.RUST, "func wasi:cli/environment@0.2.0.get-environment", "wasm32-wasip1"),
    (Sdk.TINYGO, "func wasi:io/streams@0.2.0.x", "-target=wasip1"),
    (Sdk.UNKNOWN, "func wasi_snapshot_preview2.x", "preview 1"),
    (Sdk.RUST, "func wasi.thread-spawn", "not -threads"),
    (Sdk.CPP, "func wasi.thread-spawn", "without -pthread"),
    (Sdk.ASSEMBLYSCRIPT, "func env.abort", "--use abort="),
    (Sdk.CPP, "func env.abort", "define it"),
    (Sdk.ASSEMBLYSCRIPT, "func env.seed", "wasi-shim"),
    (Sdk.ASSEMBLYSCRIPT, "func env.console.log", "wasi-shim"),
    (Sdk.ASSEMBLYSCRIPT, "func Date.now", "wasi-shim"),
    (Sdk.ASSEMBLYSCRIPT, "func env.mine", "Drop the declaration"),
    (Sdk.ASSEMBLYSCRIPT, "func other.mine", "Drop the declaration"),
    (Sdk.EMSCRIPTEN, "func env.invoke_viii", "-fwasm-exceptions"),
    (Sdk.EMSCRIPTEN, "func env.__cxa_throw", "-fwasm-exceptions"),
    (Sdk.EMSCRIPTEN, "func env._emscripten_throw_longjmp", "no setjmp"),
    (Sdk.EMSCRIPTEN, "func env.__syscall_socket", "RootContext::httpCall"),
    (Sdk.EMSCRIPTEN, "func env.__syscall_openat", "-sSTANDALONE_WASM"),
    (Sdk.EMSCRIPTEN, "func env.emscripten_memcpy_big", "-sSTANDALONE_WASM"),
    (Sdk.EMSCRIPTEN, "func env._tzset_js", "-sSTANDALONE_WASM"),
    (Sdk.EMSCRIPTEN, "func env.mine", "-sERROR_ON_UNDEFINED_SYMBOLS=1"),
    (Sdk.CPP, "func env.mine", "--allow-undefined"),
    (Sdk.RUST, "func env.mine", 'extern "C"'),
    (Sdk.CPP, "func env._Znwm", "Link statically"),
    (Sdk.CPP, "global env.__memory_base", "Link statically"),
    (Sdk.EMSCRIPTEN, "global GOT.mem.stderr", "-sMAIN_MODULE"),
    (Sdk.ZIG, "global env.__stack_pointer", "not build-obj"),
    (Sdk.UNKNOWN, "global env.__stack_pointer", "object file"),
    (Sdk.GO, "func env.proxy_new_thing", "go get"),
    (Sdk.UNKNOWN, "func env.proxy_get_log_level", "ABI version"),
    (Sdk.GO, "func mine.f", "//go:wasmimport"),
    (Sdk.UNKNOWN, "func mine.f", "env, wasi_snapshot_preview1"),
]

# SDK, what is exported and imported, a part of the fix
BUILDS = [
    (Sdk.GO, ["_start"], "-buildmode=c-shared"),
    (Sdk.GO, ["_initialize"], "Import proxy-wasm-go-sdk"),
    (Sdk.GO, ["run", "resume"], "not for GOOS=js"),
    (Sdk.RUST, ["memory"], "cdylib"),
    (Sdk.RUST, ["_start"], "src/lib.rs"),
    (Sdk.RUST, ["__wbindgen_malloc"], "No JavaScript"),
    (Sdk.EMSCRIPTEN, ["_start"], "--no-entry"),
    (Sdk.CPP, ["_start"], "-mexec-model=reactor"),
    (Sdk.UNKNOWN, ["_start"], "It is a program"),
    (Sdk.UNKNOWN, ["memory"], "-rdynamic"),
    (Sdk.UNKNOWN, ["env.__linear_memory"], "object file"),
    (Sdk.UNKNOWN, ["add", "memory"], "with a Proxy-Wasm SDK"),
    (Sdk.ZIG, ["memory"], "-rdynamic"),
    (Sdk.ASSEMBLYSCRIPT, ["memory"], "proxy-runtime/proxy"),
    (Sdk.TINYGO, ["_start"], "Go 1.24"),
]


@pytest.mark.parametrize(
    ("sdk", "needed", "said"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in IMPORTS]
)
def test_a_missing_import(sdk: Sdk, needed: str, said: str) -> None:
    kind, _, name = needed.partition(" ")
    assert said in fix("missing-import", sdk, needed=name, kind=kind)


@pytest.mark.parametrize(
    ("sdk", "names", "said"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in BUILDS]
)
def test_no_abi_by_how_it_was_built(sdk: Sdk, names: list[str], said: str) -> None:
    assert said in fix("no-abi", sdk, names=names)


def test_a_stack_of_dynamic_linking_is_no_object_file() -> None:
    names = {"env.__stack_pointer", "env.__memory_base"}
    assert "Link statically" in fix(
        "missing-import", Sdk.CPP, needed="env.__stack_pointer", kind="global", names=names
    )


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("sdk", Sdk)
def test_every_problem_has_a_fix_for_every_sdk(code: str, sdk: Sdk) -> None:
    assert fix(code, sdk)


def test_a_code_without_a_row_has_none() -> None:
    assert fix("bad-signature", Sdk.GO) == ""


def test_texts_fit_beside_their_problem_and_into_a_header() -> None:
    tables = [
        *fixes._BY_CODE.values(),
        *(row[2] for row in fixes._BY_NAME),
        *(row[1] for row in fixes._BY_IMPORT),
    ]
    for text in (text for texts in tables for text in texts.values()):
        assert len(text) <= 115, text
        assert text.isascii(), text
