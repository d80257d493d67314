"""Which SDK a plugin was made with, guessed from what its toolchain leaves in the module."""

from __future__ import annotations

from enum import StrEnum

from registry.wasm.module import Module


class Sdk(StrEnum):
    """A toolchain for plugins, by the name that its users call it."""

    GO = "Go"
    TINYGO = "TinyGo"
    RUST = "Rust"
    ASSEMBLYSCRIPT = "AssemblyScript"
    EMSCRIPTEN = "C++ (Emscripten)"
    CPP = "C++"
    ZIG = "Zig"
    UNKNOWN = "unknown"


# Names that a toolchain's own runtime has and no other: what their modules really export and import,
# stripped ones too, is in tests/real/toolchains.
_EMSCRIPTEN_EXPORTS = frozenset(("stackSave", "stackAlloc", "setThrew"))
_EMSCRIPTEN_IMPORTS = ("env.emscripten_", "env._emscripten_", "env.invoke_", "env.__syscall_", "env.__cxa_")
_ASSEMBLYSCRIPT_EXPORTS = frozenset(("__new", "__pin", "__alloc", "__retain", "__rtti_base"))
_ASSEMBLYSCRIPT_IMPORTS = ("env.abort", "env.seed", "env.trace", "env.console.", "env.Date.", "Date.now")
_C = ("C_plus_plus", "C89", "C99", "C11", "C17", "C23")


def guess(module: Module) -> Sdk:
    """The SDK by its sure signs first: names that only one runtime has, then the producers section."""
    exports = {found.name for found in module.exports}
    imports = [str(needed) for needed in module.imports]
    languages = {name for name, _ in module.producers.language}
    tools = " ".join(name for name, _ in module.producers.processed_by)
    if any(name.startswith("tinygo_") for name in exports) or "TinyGo" in tools:
        return Sdk.TINYGO
    if is_go(module):
        return Sdk.GO
    if "Rust" in languages or "rustc" in tools:
        return Sdk.RUST
    if "Zig" in languages or "Zig" in tools:
        return Sdk.ZIG
    if exports & _EMSCRIPTEN_EXPORTS or any(name.startswith(_EMSCRIPTEN_IMPORTS) for name in imports):
        return Sdk.EMSCRIPTEN
    if any(name.startswith(("emscripten_", "_emscripten_", "__cxa_")) for name in exports):
        return Sdk.EMSCRIPTEN
    if any(name.startswith("asyncify_") for name in exports):  # Emscripten's too, which is told by now
        return Sdk.TINYGO
    if exports & _ASSEMBLYSCRIPT_EXPORTS or any(name.startswith(_ASSEMBLYSCRIPT_IMPORTS) for name in imports):
        return Sdk.ASSEMBLYSCRIPT
    if any(name.startswith(_C) for name in languages) and not tools:
        return Sdk.ZIG  # its runtime has some C; clang would have said its own name
    if "__wasm_call_ctors" in exports or any(name.startswith(_C) for name in languages):
        return Sdk.CPP
    return Sdk.UNKNOWN


def is_go(module: Module) -> bool:
    """Whether the Go project's own compiler made it: it marks its modules, stripped ones too."""
    return (
        not {"go:buildid", "go.buildid"}.isdisjoint(module.custom_sections)
        or any(name == "Go" for name, _ in module.producers.language)
        or any(needed.module in ("go", "gojs") for needed in module.imports)
    )
