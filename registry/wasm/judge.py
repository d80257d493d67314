"""What Envoy makes of a module, by release: all that can be decided without running it.

The order is that of proxy-wasm-cpp-host (src/wasm.cc, load and initialize; src/v8/v8.cc, load and link): the
ABI version, the names, the bytes, the imports, the instance, the exports, the callbacks and the allocator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from registry.releases import ENVOYS
from registry.verdict import Problem
from registry.wasm import abi, border, link, names, programs, segments, validity
from registry.wasm.module import Buffer, Module, beyond_limits
from registry.wasm.reader import Malformed
from registry.wasm.sdk import Sdk, guess


def judge(module: Module, data: Buffer, *, code_is_valid: bool = False) -> tuple[Problem, ...]:
    """Why Envoys would not load the module whose bytes are `data`, in the order of their own checks.

    A problem that only some releases have names them (`Problem.envoys`); empty when all load it. Code that
    is known to be valid is not validated again.
    """
    sdk = guess(module)
    invalid = validity.problem(module, data, code_is_valid=code_is_valid)
    with memoryview(data) as view:
        return (
            *abi.problems(module, sdk),
            *_names(view),
            *((invalid,) if invalid else ()),
            *border.import_problems(module, sdk),
            *_by_release(module, sdk, link_imports=True),
            *(_instance(module, view) if invalid is None else ()),
            *border.export_problems(module, sdk),
            *_by_release(module, sdk, link_imports=False),
            *programs.problems(module, sdk),
        )


def _names(view: memoryview) -> Iterator[Problem]:
    if says := names.broken(view):
        yield Problem(
            "wasm-names",
            f"Envoy: Failed to parse corrupted Wasm module: {says[:100]}.",
            "Build it again, or strip the names (wasm-strip, wasm-opt --strip-debug).",
        )


def _instance(module: Module, view: memoryview) -> Iterator[Problem]:
    """Why no instance can be made of a valid module that has all its imports."""
    if says := segments.too_large(module):
        yield Problem(
            "memory-too-large",
            f"Envoy: Failed to create new Wasm instance: {says}.",
            "Lower the initial memory (for wasm-ld --initial-memory).",
        )
    try:
        says = segments.out_of_bounds(module, view)
    except Malformed as error:
        yield beyond_limits(str(error))
        return
    if says:
        yield Problem(
            "segment-out-of-bounds",
            f"Envoy: Failed to create new Wasm instance: {says}.",
            "Make the memory or the table large enough (for wasm-ld --initial-memory).",
        )


def _by_release(module: Module, sdk: Sdk, *, link_imports: bool) -> tuple[Problem, ...]:
    """The problems of every release, each once with the releases that have it."""
    version = abi.abi_version(module)
    known = abi.names(module)
    having: dict[Problem, list[str]] = {}
    for envoy in reversed(ENVOYS):
        found = (
            link.import_problems(module, envoy, version, sdk, known)
            if link_imports
            else link.callback_problems(module, envoy, version, sdk)
        )
        for problem in found:
            having.setdefault(problem, []).insert(0, envoy)
    return tuple(
        problem if len(envoys) == len(ENVOYS) else _of_some(problem, tuple(envoys))
        for problem, envoys in having.items()
    )


def _of_some(problem: Problem, envoys: tuple[str, ...]) -> Problem:
    """The problem of some releases only, which its text says: another release may be at hand to try it."""
    first, last = ENVOYS.index(envoys[0]), ENVOYS.index(envoys[-1])
    is_range = last - first + 1 == len(envoys) > 1
    shown = f"{envoys[0]} to {envoys[-1]}" if is_range else ", ".join(envoys)
    message = problem.message.replace("Envoy:", f"Envoy {shown}:", 1)
    return replace(problem, message=message, envoys=envoys)
