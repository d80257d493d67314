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
    CPP = "C++"
    UNKNOWN = "unknown"


def guess(module: Module) -> Sdk:
    """The SDK by its sure signs first: names that only one runtime has, then the producers section."""
    exports = {found.name for found in module.exports}
    imports = {str(needed) for needed in module.imports}
    languages = {name for name, _ in module.producers.language}
    tools = " ".join(name for name, _ in module.producers.processed_by)
    if any(name.startswith(("tinygo_", "asyncify_")) for name in exports) or "TinyGo" in tools:
        return Sdk.TINYGO
    if "Go" in languages or "go:buildid" in module.custom_sections or "go.buildid" in module.custom_sections:
        return Sdk.GO
    if any(needed.module in ("go", "gojs") for needed in module.imports):
        return Sdk.GO
    if "Rust" in languages or "rustc" in tools:
        return Sdk.RUST
    if "env.abort" in imports or exports & {"__new", "__pin", "__rtti_base"}:
        return Sdk.ASSEMBLYSCRIPT
    if "env.emscripten_notify_memory_growth" in imports or any(
        name.startswith(("emscripten_", "C_plus_plus", "__cxa_", "_emscripten_"))
        for name in exports | languages
    ):
        return Sdk.CPP
    return Sdk.UNKNOWN
