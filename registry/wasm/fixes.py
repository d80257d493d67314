"""What to type so that a module loads: by what is wrong with it and by the SDK that it was made with.

One table, so that every text is seen beside its neighbours. Problem and fix together are to fit in the
200 characters that `docker push` shows, so a fix has about 90. Modules really built by each toolchain
(tests/real/toolchains) get these texts, and what they advise was built and loaded there too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from registry.wasm.sdk import Sdk

Texts = Mapping[Sdk, str]
"""The text for each SDK; that of UNKNOWN is for all that are not named."""

_GO_BUILD = "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o main.wasm"
_CPP_SDK = "link proxy-wasm-cpp-sdk (Bazel: proxy_wasm_cc_binary)."
_AS_PROXY = 'In index.ts: export * from "@solo-io/proxy-runtime/proxy";'
_NO_JAVASCRIPT = {
    Sdk.RUST: 'No JavaScript: target wasm32-wasip1, getrandom without "js", chrono without "wasmbind".',
    Sdk.UNKNOWN: "Build it without wasm-bindgen and wasm-pack: Envoy has no JavaScript.",
}
_FOR_GOOS_JS = {Sdk.UNKNOWN: f"Build for WASI, not for GOOS=js: {_GO_BUILD}"}
_OBJECT = {
    Sdk.ZIG: "It is an object file: zig build-exe -fno-entry -rdynamic, not build-obj.",
    Sdk.UNKNOWN: "It is an object file: link it (wasm-ld, zig build-exe), then push that.",
}

_BY_CODE: Mapping[str, Texts] = {
    "no-abi": {
        Sdk.GO: "Import proxy-wasm-go-sdk and call proxywasm.SetVMContext in func init.",
        Sdk.TINYGO: f"Import proxy-wasm-go-sdk; with Go 1.24+ use {_GO_BUILD}",
        Sdk.RUST: 'In src/lib.rs: proxy_wasm::main!{...}; in Cargo.toml: crate-type = ["cdylib"].',
        Sdk.ASSEMBLYSCRIPT: _AS_PROXY,
        Sdk.EMSCRIPTEN: f"Use emcc --no-entry and {_CPP_SDK}",
        Sdk.CPP: f"Use -mexec-model=reactor and {_CPP_SDK}",
        Sdk.ZIG: "Export proxy_abi_version_0_2_1, and build it with -fno-entry -rdynamic.",
        Sdk.UNKNOWN: "Build it with a Proxy-Wasm SDK (Go, Rust, C++, AssemblyScript).",
    },
    "abi-not-a-function": {Sdk.UNKNOWN: "Export it as a function without parameters."},
    "unknown-abi": {
        Sdk.GO: "Update it: go get github.com/proxy-wasm/proxy-wasm-go-sdk@latest",
        Sdk.RUST: "Update the SDK: cargo add proxy-wasm@0.2",
        Sdk.UNKNOWN: "Use an SDK release for ABI 0_1_0, 0_2_0, 0_2_1.",
    },
    "go-program": {Sdk.UNKNOWN: f"Build it as a library: {_GO_BUILD}"},
    "no-malloc": {
        Sdk.GO: "Import proxy-wasm-go-sdk/proxywasm: it exports proxy_on_memory_allocate.",
        Sdk.TINYGO: "Import proxy-wasm-go-sdk/proxywasm: it exports proxy_on_memory_allocate.",
        Sdk.RUST: "Use the proxy-wasm crate: it exports proxy_on_memory_allocate.",
        Sdk.ASSEMBLYSCRIPT: _AS_PROXY,
        Sdk.EMSCRIPTEN: "Export it: emcc -sEXPORTED_FUNCTIONS=_malloc",
        Sdk.CPP: "Export it: -Wl,--export=malloc",
        Sdk.ZIG: "Export it: export fn proxy_on_memory_allocate(size: usize) ?[*]u8",
        Sdk.UNKNOWN: "Export malloc or proxy_on_memory_allocate, (i32) -> i32.",
    },
    "imported-tag": {
        Sdk.EMSCRIPTEN: "Link all of it at once, without -sSIDE_MODULE, or build with -fno-exceptions.",
        Sdk.RUST: 'In Cargo.toml: [profile.release] panic = "abort".',
        Sdk.UNKNOWN: (
            "Build without shared exception tags: link statically, or turn exceptions off (-fno-exceptions)."
        ),
    },
    "missing-import": {
        Sdk.ASSEMBLYSCRIPT: "Drop the declaration of that function: Envoy has only env and WASI.",
        Sdk.GO: "Drop that //go:wasmimport: Envoy has proxy_* in env, and WASI.",
        Sdk.UNKNOWN: "Envoy has functions in env, wasi_snapshot_preview1, wasi_unstable only.",
    },
}

# How it was built, told by a name that it exports or imports: `no-abi` by the first that is there,
# `!NAME` for one that is not.
_BY_NAME: tuple[tuple[str, frozenset[Sdk], Texts], ...] = (
    ("gojs.runtime.scheduleTimeoutEvent", frozenset((Sdk.GO,)), _FOR_GOOS_JS),
    ("run", frozenset((Sdk.GO,)), _FOR_GOOS_JS),
    ("!_initialize", frozenset((Sdk.GO,)), {Sdk.UNKNOWN: f"Build it as a library: {_GO_BUILD}"}),
    ("__wbindgen_malloc", frozenset(Sdk), _NO_JAVASCRIPT),
    ("_start", frozenset((Sdk.RUST,)), {
        Sdk.UNKNOWN: 'Move it from src/main.rs to src/lib.rs; in Cargo.toml: crate-type = ["cdylib"].'
    }),
    ("env.__linear_memory", frozenset(Sdk), _OBJECT),
    ("_start", frozenset((Sdk.UNKNOWN,)), {
        Sdk.UNKNOWN: "It is a program: build a plugin, with a Proxy-Wasm SDK (Go, Rust, C++, AssemblyScript)."
    }),
)  # fmt: skip

_STATICALLY = {
    Sdk.EMSCRIPTEN: "Link it as one: without -sSIDE_MODULE and -sMAIN_MODULE.",
    Sdk.UNKNOWN: "Link statically: not with -shared, -fPIC or -sSIDE_MODULE, which import what they lack.",
}
_NO_THREADS = {
    Sdk.RUST: "No threads: cargo build --target wasm32-wasip1, not -threads.",
    Sdk.TINYGO: "No threads: tinygo build -scheduler=none",
    Sdk.UNKNOWN: "No threads: build without -pthread, for wasm32-wasip1.",
}
_NO_SYSTEM = {
    Sdk.GO: "Drop net, net/http and files: call out by proxywasm.DispatchHttpCall.",
    Sdk.TINYGO: "Drop net, net/http and files: call out by proxywasm.DispatchHttpCall.",
    Sdk.RUST: "Drop std::net and std::fs: call out by dispatch_http_call.",
    Sdk.EMSCRIPTEN: "Drop sockets and files: call out by RootContext::httpCall.",
    Sdk.CPP: "Drop sockets and files: call out by RootContext::httpCall.",
    Sdk.UNKNOWN: "Drop sockets and files: call out by proxy_http_call.",
}
_NO_BROWSER = {
    Sdk.UNKNOWN: (
        "npm i @assemblyscript/wasi-shim; asc --config node_modules/@assemblyscript/wasi-shim/asconfig.json"
    )
}

# The first row whose pattern matches an import `KIND MODULE.NAME` counts, before the code's own texts.
_BY_IMPORT: tuple[tuple[re.Pattern[str], Texts], ...] = tuple(
    (re.compile(pattern, re.DOTALL), texts)
    for pattern, texts in (
        (r"global env\.__stack_pointer", _OBJECT),
        (r"global .*|func (GOT\..*|env\.(_Z.*|__original_main))", _STATICALLY),
        (r"func (go|gojs)\..*", _FOR_GOOS_JS),
        (r"func (.*wbindgen.*|wbg\..*|.*_bg\.js\..*)", _NO_JAVASCRIPT),
        (
            r"func env\.abort",
            {
                Sdk.ASSEMBLYSCRIPT: "asc --use abort=abort_proc_exit (of proxy-runtime), else --use abort=",
                Sdk.UNKNOWN: "Envoy has no abort: define it, or link the library that does.",
            },
        ),
        (r"func (env\.)?(seed|trace|console\..*|Date\..*|Math\..*|performance\..*)", _NO_BROWSER),
        (
            r"func env\.(invoke_\w+|__cxa_\w+|__resumeException|llvm_eh_\w+|[gs]etTempRet0|\w*longjmp)",
            {Sdk.UNKNOWN: "Its exceptions need JavaScript: -fwasm-exceptions, or none, and no setjmp."},
        ),
        (
            r"func env\.(__syscall_(socket|bind|connect|listen|accept4|sendto|recvfrom)|getaddrinfo)",
            _NO_SYSTEM,
        ),
        (
            r"func env\.(__syscall_\w+|_?emscripten_\w+|\w*_js|_(localtime|gmtime|mktime|tzset)\w*)",
            {Sdk.UNKNOWN: "Build it with emcc -sSTANDALONE_WASM -sFILESYSTEM=0: Envoy has no JavaScript."},
        ),
        (
            r"func (wasi:|wasi_snapshot_preview2).*",
            {
                Sdk.RUST: "cargo build --release --target wasm32-wasip1",
                Sdk.TINYGO: "Build for WASI preview 1: -target=wasip1, not wasip2.",
                Sdk.UNKNOWN: "Build for WASI preview 1: target wasm32-wasip1.",
            },
        ),
        (r"func wasi\.thread-spawn", _NO_THREADS),
        (r"func wasi_(snapshot_preview1|unstable)\..*", _NO_SYSTEM),
        (
            r"func env\.proxy_.*",
            {
                Sdk.GO: "Update it: go get github.com/proxy-wasm/proxy-wasm-go-sdk@latest",
                Sdk.UNKNOWN: "Mind its name, and use an SDK release for the ABI version that is exported.",
            },
        ),
        (
            r"func env\..*",
            {
                Sdk.ASSEMBLYSCRIPT: "Drop the declaration of that function: Envoy does not have it.",
                Sdk.RUST: 'Link the library that defines it, or drop the extern "C" of it.',
                Sdk.EMSCRIPTEN: "Link what defines it: emcc -sERROR_ON_UNDEFINED_SYMBOLS=1 names all such.",
                Sdk.UNKNOWN: "Link what defines it: without --allow-undefined the linker names all such.",
            },
        ),
    )
)  # fmt: skip


def fix(
    code: str, sdk: Sdk, *, needed: str = "", kind: str = "func", names: Collection[str] = frozenset()
) -> str:
    """What to do about a problem of `code` in a module of `sdk`; empty for a code that has no row.

    `needed` is the import that the problem is about as `MODULE.NAME`, `kind` what it is; `names` are
    the names that the module exports and imports (`MODULE.NAME`), which tell how it was built.
    """
    if needed:
        for pattern, texts in _BY_IMPORT:
            if pattern.fullmatch(f"{kind} {needed}"):
                # Both objects and parts of dynamic linking lack a stack: only these name a base as well.
                return _of(_STATICALLY if texts is _OBJECT and "env.__memory_base" in names else texts, sdk)
    if code == "no-abi":
        for name, sdks, texts in _BY_NAME:
            absent = name.startswith("!")
            if sdk in sdks and (name.lstrip("!") in names) != absent:
                return _of(texts, sdk)
        if set(names) == {"memory"} and sdk is Sdk.UNKNOWN:
            return "It exports no function: zig -fno-entry -rdynamic, C export_name, or use an SDK."
    return _of(_BY_CODE.get(code, {}), sdk)


def _of(texts: Texts, sdk: Sdk) -> str:
    return texts.get(sdk) or texts.get(Sdk.UNKNOWN, "")
