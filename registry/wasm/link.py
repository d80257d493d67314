"""What one Envoy finds when it links a module: imports in their order, then what it looks up to call.

proxy-wasm-cpp-host: src/v8/v8.cc (link, getModuleFunctionImpl) and src/wasm.cc (getFunctions), in their
words.
"""

from __future__ import annotations

from collections.abc import Iterator

from registry.verdict import Problem
from registry.wasm.callbacks import ALLOCATORS, CALLBACKS
from registry.wasm.fixes import fix
from registry.wasm.hosts import host_function
from registry.wasm.module import Import, Module
from registry.wasm.sdk import Sdk
from registry.wasm.segments import MAX_PAGES

_LOAD = "Envoy: Failed to load Wasm module due to"
_INSTANCE = "Envoy: Failed to create new Wasm instance"
_MOST_SIGNATURES = 5


def import_problems(
    module: Module, envoy: str, abi: str | None, sdk: Sdk, names: frozenset[str]
) -> Iterator[Problem]:
    """The first import that this Envoy cannot serve: it stops there."""
    for needed in module.imports:
        if needed.kind == "global":
            yield _missing(needed, sdk, names)
            return
        if needed.kind == "func":
            found = host_function(needed.module, needed.name)
            if found is None or not found.offered(envoy, abi):
                yield _missing(needed, sdk, names)
                return
            if needed.signature and needed.signature != found.signature:
                wants, has = needed.signature.as_printed(), found.signature.as_printed()
                yield Problem(
                    "import-mismatch",
                    f"{_LOAD} an import type mismatch: {_short(str(needed), 50)}, want: {_short(wants, 40)}, "
                    f"but host exports: {_short(has, 40)}.",
                    fix("import-mismatch", sdk) or f"Declare it as {_short(str(found.signature), 60)}.",
                )
                return
    yield from _container_problems(module)


def _missing(needed: Import, sdk: Sdk, names: frozenset[str]) -> Problem:
    return Problem(
        "missing-import",
        f"{_LOAD} a missing import: {_short(str(needed), 50)}.",
        fix("missing-import", sdk, needed=str(needed), kind=needed.kind, names=names),
    )


def _container_problems(module: Module) -> Iterator[Problem]:
    """Envoy makes an imported memory or table itself, with 32-bit addresses and nullable elements only."""
    for memory in module.memories:
        if memory.imported and (memory.is64 or memory.shared):
            kind = "64-bit" if memory.is64 else "shared"
            yield Problem(
                "imported-memory",
                f"{_INSTANCE}: it imports a {kind} memory, Envoy gives a plain one.",
                "Define the memory instead of importing it (no --import-memory).",
            )
        elif memory.imported and memory.minimum > MAX_PAGES:
            yield Problem(
                "memory-too-large",
                f"Envoy: Failed to initialize Wasm code: it imports a memory of {memory.minimum} pages, "
                f"{MAX_PAGES} (1 GiB) is the limit.",
                "Lower the initial memory (for wasm-ld --initial-memory).",
            )
    for table in module.tables:
        if table.imported and (table.is64 or table.element in ("(ref func)", "(ref extern)")):
            kind = "64-bit table" if table.is64 else f"table of {table.element}"
            yield Problem(
                "imported-table",
                f"{_INSTANCE}: it imports a {kind}, Envoy gives a plain one.",
                "Define the table instead of importing it.",
            )


def callback_problems(module: Module, envoy: str, abi: str | None, sdk: Sdk) -> Iterator[Problem]:
    """Exports that this Envoy would call but that have another signature, and a missing allocator."""
    offered = {found.name: found.signature for found in module.exports if found.kind == "func"}
    usable: set[str] = set()
    reported = 0
    for callback in CALLBACKS:
        if not callback.sought(envoy, abi, usable):
            continue
        has = offered.get(callback.name)
        if has == callback.signature:
            usable.add(callback.name)
        elif has and reported < _MOST_SIGNATURES:
            reported += 1
            wants, found = callback.signature.as_printed(), _short(has.as_printed(), 40)
            yield Problem(
                "bad-signature",
                f"Envoy: Bad function signature for: {callback.name}, want: {wants}, "
                f"but the module exports: {found}.",
                fix("bad-signature", sdk) or f"Declare it {callback.signature}, or use the SDK's.",
            )
        if callback.name == ALLOCATORS[-1] and usable.isdisjoint(ALLOCATORS):
            yield _no_allocator(sdk)


def _no_allocator(sdk: Sdk) -> Problem:
    return Problem("no-malloc", "Envoy: Wasm module is missing malloc function.", fix("no-malloc", sdk))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
