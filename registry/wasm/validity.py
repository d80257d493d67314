"""Whether V8 takes a module's bytes, function bodies included; nothing is compiled.

wasmtime validates, with the features on that V8 has in the Envoys of registry/releases.py (V8 13.8 and 14.6).
The two agree but for what is named here and in docs/envoy-releases.md: legacy exception handling
(registry/wasm/legacy.py) and limits (registry/wasm/limits.py).
"""

from __future__ import annotations

import re
from functools import cache

from wasmtime import Config, Engine, WasmtimeError
from wasmtime import Module as Validator

from registry.verdict import Problem
from registry.wasm import legacy, limits
from registry.wasm.bodies import without_code
from registry.wasm.module import Buffer, Module, beyond_limits
from registry.wasm.reader import BeyondLimit, Malformed
from registry.wasm.sections import stripped

FEATURES = (
    "bulk_memory",
    "exceptions",
    "function_references",
    "gc",
    "memory64",
    "multi_memory",
    "multi_value",
    "reference_types",
    "relaxed_simd",
    "simd",
    "tail_call",
    "threads",
)
"""Proposals that V8 has; sign extension, saturating conversions and extended constants are always on."""

MISSING = ("custom_page_sizes", "stack_switching", "wide_arithmetic")
"""Proposals that wasmtime may have and V8 has not."""

_INVALID = "Envoy: Failed to load Wasm bytecode"
_FEATURE = re.compile(r"disabled|enabled|requires? the|required for|not supported|proposal")
_SHOWN = 90


def problem(module: Module, data: Buffer, *, code_is_valid: bool = False) -> Problem | None:
    """Why V8 would not take the bytes of a module that was read, or None when it does.

    Where the code is known to be valid (see `registry.wasm.ahead`), only the rest is to be validated.
    """
    if code_is_valid and _validate(without_code(data)) is None:
        says = None
    else:
        says = _validate(stripped(data if isinstance(data, bytes) else bytes(data)))
    with memoryview(data) as view:
        try:
            if says and "legacy" in says.lower():
                says = _validate(legacy.rewritten(module, view))
            if says is None:
                over = limits.exceeded(module, view)
                return _invalid(over) if over else None
        except BeyondLimit as error:
            return beyond_limits(str(error))
        except (legacy.Invalid, Malformed) as error:
            says = str(error)
    if limits.beyond_wasmtime(says):
        return beyond_limits(says)
    return _invalid(says)


def prepare() -> None:
    """Have ready what is made once in a process."""
    _engine()


def _invalid(says: str) -> Problem:
    if _FEATURE.search(says):
        fix = "Turn that feature off in the compiler: V8 in Envoy has not got it."
    else:
        fix = "Build it again; wasm-tools validate FILE shows the place."
    return Problem("wasm-invalid", f"{_INVALID}: {says[:_SHOWN]}.", fix)


def is_valid(data: bytes) -> bool:
    """Whether wasmtime takes the bytes as they are."""
    return _validate(data) is None


def _validate(data: bytes) -> str | None:
    """What is wrong with the bytes in wasmtime's words, or None."""
    try:
        Validator.validate(_engine(), data)
    except WasmtimeError as error:
        return str(error).splitlines()[0]
    return None


@cache
def _engine() -> Engine:
    config = Config()
    config.parallel_compilation = False  # its threads would spin between two modules
    for feature in FEATURES:
        setattr(config, f"wasm_{feature}", True)
    for feature in MISSING:
        setattr(config, f"wasm_{feature}", False)
    return Engine(config)
