"""Modules that end themselves while they are loaded: told by who made them, without running them."""

from __future__ import annotations

from collections.abc import Iterator

from registry.verdict import Problem
from registry.wasm.fixes import fix
from registry.wasm.module import Module
from registry.wasm.sdk import Sdk, is_go


def problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    """A program of the Go project's compiler, built without -buildmode=c-shared.

    Envoy calls `_initialize`, or `_start` where there is none (proxy-wasm-cpp-host, src/wasm.cc,
    startVm). Go's `_start` runs main and then always calls proc_exit (runtime/rt0_wasip1_wasm.s,
    runtime/proc.go: main), which Envoy takes for a failure. C's and Rust's return, and load.
    """
    if is_go(module) and sdk is Sdk.GO and module.function("_start") and not module.function("_initialize"):
        yield Problem(
            "go-program",
            "Envoy: Failed to initialize Wasm code: it is a program, and its main ends while it is loaded.",
            fix("go-program", sdk),
        )
