"""A plugin made of bytes, with a section of every kind: what the parts of the table change something of."""

from __future__ import annotations

from tests.registry.wasm import binary
from tests.registry.wasm.binary import ALLOC, HEADER, VOID, section, vec

TYPES = binary.types(VOID, ALLOC)
FUNCTIONS = binary.functions(0, 1)
TABLE = section(4, b"\x01\x70\x00\x01")
MEMORY = section(5, b"\x01\x00\x01")
TAG = section(13, b"\x01\x00\x00")
GLOBAL = section(6, b"\x01\x7f\x00\x41\x00\x0b")
EXPORTED = (("proxy_abi_version_0_2_1", 0, 0), ("malloc", 0, 1), ("memory", 2, 0))
EXPORTS = binary.exports(*EXPORTED)
START = section(8, b"\x00")
ELEMENTS = section(9, b"\x01\x00\x41\x00\x0b\x01\x00")
DATA_COUNT = section(12, b"\x01")
BODIES = (b"\x02\x00\x0b", b"\x04\x00\x41\x00\x0b")
CODE = section(10, vec(BODIES))
DATA = section(11, b"\x01\x00\x41\x00\x0b\x01x")
PARTS = {
    "type": TYPES,
    "function": FUNCTIONS,
    "table": TABLE,
    "memory": MEMORY,
    "tag": TAG,
    "global": GLOBAL,
    "export": EXPORTS,
    "start": START,
    "element": ELEMENTS,
    "data count": DATA_COUNT,
    "code": CODE,
    "data": DATA,
}


def assembled(**changes: bytes) -> bytes:
    """A plugin with a section of every kind; `changes` by name (data_count=…) take the place of some."""
    known = {title.replace(" ", "_"): content for title, content in PARTS.items()}
    assert set(changes) <= set(known)
    return HEADER + b"".join((known | changes).values())
