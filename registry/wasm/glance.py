"""What Envoy itself makes of a module's bytes before V8 sees them: its own, simpler parser.

proxy-wasm-cpp-host, src/bytecode_util.cc (getAbiVersion, getFunctionNameIndex, getStrippedSource) in the
order of src/wasm.cc (load). It decides which words a refusal has, not whether there is one.
"""

from __future__ import annotations

from registry.wasm import names
from registry.wasm.hosts import ABIS
from registry.wasm.looks import HEADER
from registry.wasm.reader import Malformed, Reader
from registry.wasm.sections import CUSTOM, EXPORT

CORRUPTED = "Envoy: Failed to parse corrupted Wasm module"
UNKNOWN_ABI = "Envoy: Missing or unknown Proxy-Wasm ABI version"
INVALID = "Envoy: Failed to load Wasm bytecode"

_ABI_EXPORTS = frozenset(f"proxy_abi_version_{abi}".encode() for abi in ABIS)
_MOST_SECTIONS = 10_000


def words(view: memoryview) -> str:
    """What Envoy says first of bytes that are known to be refused: CORRUPTED, UNKNOWN_ABI, else INVALID."""
    try:
        if not _has_abi(view):
            return UNKNOWN_ABI
        for section, start, _ in _sections(view, stop=-1):
            if section == CUSTOM:
                # Where its title ends is held against the end of the module, not of the section.
                reader = Reader(view[start:], start)
                reader.skip(names.number(reader))
        return CORRUPTED if names.broken(view) else INVALID
    except Malformed:
        return CORRUPTED


def _sections(view: memoryview, *, stop: int) -> list[tuple[int, int, int]]:
    """Id, start and end of the sections, up to the first whose id is `stop`."""
    found: list[tuple[int, int, int]] = []
    size, pos = len(view), HEADER
    while pos < size and len(found) < _MOST_SECTIONS:
        head = Reader(bytes(view[pos + 1 : pos + 6]), pos + 1)
        length = head.unsigned()
        start = pos + 1 + head.pos
        if length > size - start:
            raise Malformed(f"the section at byte {pos} is cut short")
        found.append((view[pos], start, start + length))
        if view[pos] == stop:
            break
        pos = start + length
    return found


def _has_abi(view: memoryview) -> bool:
    found = _sections(view, stop=EXPORT)
    if not found or found[-1][0] != EXPORT:
        return False
    _, start, end = found[-1]
    reader = Reader(view[start:], start)
    size = end - start
    count = _within(reader, size)
    for _ in range(count):
        name = reader.take(_within(reader, size))
        # Kind and index are read on where the section has ended.
        if reader.byte() == 0 and name in _ABI_EXPORTS:
            return True
        names.number(reader)
    return False


def _within(reader: Reader, size: int) -> int:
    """A number of bytes that follow it within `size`; raises Malformed when there are not so many."""
    found = names.number(reader)
    if reader.pos + found > size:
        raise Malformed(f"{found} bytes are announced before byte {reader.place}, there are not so many")
    return found
