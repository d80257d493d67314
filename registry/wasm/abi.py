"""The first gate: what makes Envoy refuse a module, or crash on it, for certain and without compiling it.

The order is that of proxy-wasm-cpp-host: the ABI version is looked up first (src/bytecode_util.cc,
getAbiVersion), then the engine links the imports (src/v8/v8.cc), then the callbacks and the allocator
are looked up (src/wasm.cc).
"""

from __future__ import annotations

from collections.abc import Iterator

from registry.verdict import Problem
from registry.wasm.module import Import, Module
from registry.wasm.sdk import Sdk, guess

ABI_PREFIX = "proxy_abi_version_"
ABI_VERSIONS = ("0_1_0", "0_2_0", "0_2_1")
ALLOCATORS = ("malloc", "proxy_on_memory_allocate")
HOST_MODULES = ("env", "wasi_snapshot_preview1", "wasi_unstable")

_GO_BUILD = "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o main.wasm"
_UNKNOWN_ABI = "Envoy: Missing or unknown Proxy-Wasm ABI version"
_ABI_FIXES = {
    Sdk.GO: "Import proxy-wasm-go-sdk and call proxywasm.SetVMContext in func init.",
    Sdk.TINYGO: "Import proxy-wasm-go-sdk; with Go 1.24+ use " + _GO_BUILD,
    Sdk.RUST: 'In Cargo.toml: [lib] crate-type = ["cdylib"] and the proxy-wasm crate.',
    Sdk.ASSEMBLYSCRIPT: 'In index.ts: export * from "@solo-io/proxy-runtime/proxy";',
    Sdk.CPP: "Link proxy-wasm-cpp-sdk (Bazel: proxy_wasm_cc_binary).",
    Sdk.UNKNOWN: "Build it with a Proxy-Wasm SDK (Go, Rust, C++, AssemblyScript).",
}
_MALLOC_FIXES = {
    Sdk.GO: "Import proxy-wasm-go-sdk/proxywasm: it exports proxy_on_memory_allocate.",
    Sdk.TINYGO: "Import proxy-wasm-go-sdk/proxywasm: it exports proxy_on_memory_allocate.",
    Sdk.RUST: "Use the proxy-wasm crate: it exports proxy_on_memory_allocate.",
    Sdk.ASSEMBLYSCRIPT: 'In index.ts: export * from "@solo-io/proxy-runtime/proxy";',
    Sdk.CPP: "Export it: emcc -sEXPORTED_FUNCTIONS=_malloc.",
    Sdk.UNKNOWN: "Export malloc or proxy_on_memory_allocate, (i32) -> i32.",
}


def abi_version(module: Module) -> str | None:
    """The Proxy-Wasm ABI that Envoy sees, such as `0_2_1`: the first known one of the exported functions."""
    for found in module.exports:
        version = found.name.removeprefix(ABI_PREFIX)
        if found.kind == "func" and version != found.name and version in ABI_VERSIONS:
            return version
    return None


def judge(module: Module) -> tuple[Problem, ...]:
    """Why Envoy would not load the module, in the order of its own checks; empty when nothing is known."""
    sdk = guess(module)
    return (*_abi_problems(module, sdk), *_import_problems(module, sdk), *_allocator_problems(module, sdk))


def _abi_problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    if abi_version(module) is not None:
        return
    named = next((found for found in module.exports if found.name.startswith(ABI_PREFIX)), None)
    if named is None:
        exports = ", ".join(found.name[:30] for found in module.exports[:3]) or "nothing"
        yield Problem("no-abi", f"{_UNKNOWN_ABI}: it exports {exports[:60]}.", _abi_fix(module, sdk))
    elif named.kind != "func":
        yield Problem(
            "abi-not-a-function",
            f"{_UNKNOWN_ABI}: {named.name[:40]} is a {named.kind}.",
            "Export it as a function without parameters.",
        )
    else:
        yield Problem(
            "unknown-abi",
            f"{_UNKNOWN_ABI}: it has {named.name[len(ABI_PREFIX) :][:20]}.",
            f"Use an SDK release for ABI {', '.join(ABI_VERSIONS)}.",
        )


def _abi_fix(module: Module, sdk: Sdk) -> str:
    if sdk is Sdk.GO and not module.function("_initialize"):
        return f"Build it as a library: {_GO_BUILD}"
    return _ABI_FIXES[sdk]


def _import_problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    tag = next((needed for needed in module.imports if needed.kind == "tag"), None)
    if tag:
        yield Problem(
            "imported-tag",
            f"it imports the tag {_shown(tag)}: loading it crashes Envoy itself (V8 fatal error).",
            "Build without shared exception tags: link statically, or turn exceptions off (-fno-exceptions).",
        )
    for needed in module.imports:
        if _missing(needed):
            yield Problem(
                "missing-import",
                f"Envoy: Failed to load Wasm module due to a missing import: {_shown(needed)}.",
                _import_fix(needed, sdk),
            )
            return


def _missing(needed: Import) -> bool:
    """Whether no Envoy has it: whatever the table of host functions says (src/wasm.cc, registerCallbacks)."""
    if needed.kind == "global":
        return True
    return needed.kind == "func" and (needed.module not in HOST_MODULES or str(needed) == "env.abort")


def _import_fix(needed: Import, sdk: Sdk) -> str:
    if needed.kind == "global":
        return "Link statically: not with -shared, -fPIC or MAIN_MODULE, which import globals."
    if needed.module in ("go", "gojs"):
        return f"Build for WASI, not for GOOS=js: {_GO_BUILD}"
    if "wbindgen" in needed.module or needed.module == "wbg" or needed.module.endswith("_bg.js"):
        return "Build without wasm-bindgen: cargo build --target wasm32-wasip1, no wasm-pack, no js features."
    if str(needed) == "env.abort":
        return "Use the runtime's: asc --use abort=abort_proc_exit"
    if needed.module.startswith(("wasi:", "wasi_snapshot_preview2")):
        return "Build for WASI preview 1: target wasm32-wasip1."
    if sdk is Sdk.ASSEMBLYSCRIPT:
        return "Drop the declaration of that function: Envoy has only env and WASI."
    return f"Envoy has functions in {', '.join(HOST_MODULES)} only."


def _allocator_problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    if not any(module.function(name) for name in ALLOCATORS):
        yield Problem("no-malloc", "Envoy: Wasm module is missing malloc function.", _MALLOC_FIXES[sdk])


def _shown(needed: Import) -> str:
    text = str(needed)
    return text if len(text) <= 50 else text[:47] + "..."
