"""V8's limits that wasmtime has not: what V8 refuses although it is valid (V8, src/wasm/wasm-limits.h).

The other way round, wasmtime refuses some valid modules that V8 takes: `beyond_wasmtime` knows its words.
"""

from __future__ import annotations

import re

from registry.wasm.bodies import bodies, code_of, locals_of, long_bodies
from registry.wasm.module import Module
from registry.wasm.opcodes import ARRAY_NEW_FIXED, BR_TABLE, GC, MAX_STOPS, stops
from registry.wasm.reader import BeyondLimit, Malformed, Reader

MAX_TABLE_ENTRIES = 10_000_000
MAX_MEMORY64_PAGES = 262_144
MAX_BR_TABLE = 65_520
MAX_ARRAY_NEW_FIXED = 10_000

# What the instructions over a limit begin with, among other bytes that look so: a br_table of more than
# 65,520 targets, an array.new_fixed.
_BR_TABLE = re.compile(rb"\x0e(?:[\x80-\xff]{2}[\x03-\x7f]|[\x80-\xff]{3,4}[\x00-\x7f])")
_ARRAY_NEW_FIXED = re.compile(rb"\xfb(?:\x08|\x88\x80*\x00)")
_BEYOND = re.compile(
    r"(?:tables|memories|element segments) count exceeds limit|string size out of bounds|catches size"
)


def beyond_wasmtime(says: str) -> bool:
    """Whether wasmtime refuses for a limit of its own, not V8's: nothing is known of the module then."""
    return _BEYOND.search(says) is not None


def exceeded(module: Module, view: memoryview) -> str | None:
    """Which of V8's limits a valid module is over, or None."""
    for found in module.tables:
        if found.minimum > MAX_TABLE_ENTRIES:
            return f"a table of {found.minimum} entries; {MAX_TABLE_ENTRIES} is the limit"
    for memory in module.memories:
        if memory.is64 and max(memory.minimum, memory.maximum or 0) > MAX_MEMORY64_PAGES:
            return f"a 64-bit memory of {max(memory.minimum, memory.maximum or 0)} pages; " + (
                f"{MAX_MEMORY64_PAGES} is the limit"
            )
    return _in_code(view, arrays=None in module.types)


def _in_code(view: memoryview, *, arrays: bool) -> str | None:
    found = code_of(view)
    if found is None:
        return None
    section, code = found
    arrays = arrays and _ARRAY_NEW_FIXED.search(code) is not None
    # As many targets need as many bytes at least.
    tables = len(section) > MAX_BR_TABLE and _BR_TABLE.search(code) is not None
    seen = 0
    asked = bodies(code) if arrays else long_bodies(code, MAX_BR_TABLE) if tables else ()
    for body in asked:
        if len(body) > MAX_BR_TABLE or _ARRAY_NEW_FIXED.search(body):
            start, _ = locals_of(body)
            for opcode, at, end in stops(body, start):
                seen += 1
                if seen > MAX_STOPS:
                    raise BeyondLimit(f"its code has more than {MAX_STOPS} blocks")
                if says := _too_many(opcode, body[at + 1 : end]):
                    return says
    return None


def _too_many(opcode: int, immediates: bytes) -> str | None:
    reader = Reader(immediates)
    try:
        if opcode == BR_TABLE and (targets := reader.unsigned()) > MAX_BR_TABLE:
            return f"a br_table of {targets} targets; {MAX_BR_TABLE} is the limit"
        if opcode == GC and reader.unsigned() == ARRAY_NEW_FIXED:
            reader.unsigned()
            if (elements := reader.unsigned()) > MAX_ARRAY_NEW_FIXED:
                return f"array.new_fixed of {elements} elements; {MAX_ARRAY_NEW_FIXED} is the limit"
    except Malformed:
        return None
    return None
