"""Plugins made from WAT: a frame that every Envoy loads, with parts added or replaced."""

from __future__ import annotations

from wasmtime import wat2wasm

MEMORY = '(memory (export "memory") 1)'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 0))'


def wat(text: str) -> bytes:
    """The binary form of a module's text, which need not be valid."""
    return bytes(wat2wasm(text))


def plugin(
    fields: str = "",
    *,
    imports: str = "",
    abi: str = "0_2_1",
    memory: str = MEMORY,
    malloc: str = MALLOC,
) -> bytes:
    """A plugin with `fields` added; `abi` may be empty, `memory` and `malloc` replaced."""
    version = f'(func (export "proxy_abi_version_{abi}"))' if abi else ""
    return wat(f"(module {imports} {memory} {version} {malloc} {fields})")


def signature(params: str, results: str = "") -> str:
    """A function's type in WAT, from letters: i and I for i32 and i64, f and F for f32 and f64."""
    names = {"i": "i32", "I": "i64", "f": "f32", "F": "f64"}
    return "".join(f" (param {names[p]})" for p in params) + "".join(f" (result {names[r]})" for r in results)


def exported(name: str, params: str, results: str = "", value: int = 0) -> str:
    """A function that answers `value`, exported as `name`."""
    kind = {"i": "i32", "I": "i64", "f": "f32", "F": "f64"}
    body = "".join(f" ({kind[result]}.const {value})" for result in results)
    return f'(func (export "{name}"){signature(params, results)}{body})'


def imported(module: str, name: str, params: str, results: str = "") -> str:
    """A function of the host's."""
    return f'(import "{module}" "{name}" (func{signature(params, results)}))'
