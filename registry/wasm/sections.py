"""The sections of a module: where each begins and ends, in the order that the format demands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.wasm.looks import HEADER
from registry.wasm.reader import BeyondLimit, Malformed, Reader

MAX_SECTIONS = 10_000

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT, TAG = (
    range(14)
)
# In the order that the format demands.
_ORDERED = {
    TYPE: "type",
    IMPORT: "import",
    FUNCTION: "function",
    TABLE: "table",
    MEMORY: "memory",
    TAG: "tag",
    GLOBAL: "global",
    EXPORT: "export",
    START: "start",
    ELEMENT: "element",
    DATA_COUNT: "data count",
    CODE: "code",
    DATA: "data",
}
_COMPILED = b"precompiled_"
NAMES = {CUSTOM: "custom", **_ORDERED}
_ORDER = {section: at for at, section in enumerate(_ORDERED)}


@dataclass(frozen=True, slots=True)
class Section:
    """What a section is, and where its content lies: from `start` to `end`."""

    id: int
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def name(self) -> str:
        """What the format calls it."""
        return NAMES[self.id]


def sections(view: memoryview) -> Iterator[Section]:
    """The sections as far as Envoy's own parser looks; raises Malformed for one that is cut short.

    proxy-wasm-cpp-host, src/bytecode_util.cc: what fails here it calls a corrupted module.
    """
    size, pos = len(view), HEADER
    for _ in range(MAX_SECTIONS + 1):
        if pos >= size:
            return
        section = view[pos]
        name = NAMES.get(section)
        head = Reader(bytes(view[pos + 1 : pos + 6]), pos + 1)
        try:
            length = head.unsigned()
            start = pos + 1 + head.pos
            if length > size - start:
                raise Malformed(f"the {name} section has {length} bytes, the file only {size - start} more")
        except Malformed:
            if name is None:
                raise Malformed(_stray(section, pos)) from None
            raise
        pos = start + length
        yield Section(section, start, pos)
    raise BeyondLimit(f"it has more than {MAX_SECTIONS} sections")


def check_order(found: list[Section]) -> None:
    """Known sections, each once and in the order of the format; custom ones anywhere; raises Malformed."""
    last = -1
    for section in found:
        if section.id == CUSTOM:
            continue
        if section.id not in _ORDER:
            raise Malformed(_stray(section.id, section.start))
        if _ORDER[section.id] <= last:
            raise Malformed(f"the {section.name} section at byte {section.start} is repeated or out of order")
        last = _ORDER[section.id]


def custom_title(view: memoryview, section: Section) -> tuple[bytes, int]:
    """What a custom section is called, and where its content begins; raises Malformed when it is cut."""
    reader = Reader(view[section.start : section.end], section.start)
    length = reader.unsigned()
    start = section.start + reader.pos
    reader.skip(length)
    return bytes(view[start : start + length]), start + length


def kept(found: list[Section], view: memoryview) -> list[Section]:
    """The sections that V8 gets to see: none that is custom from the first for compiled code on.

    proxy-wasm-cpp-host, src/bytecode_util.cc, getStrippedSource.
    """
    for at, section in enumerate(found):
        if section.id == CUSTOM and _COMPILED in custom_title(view, section)[0]:
            return [*found[:at], *(later for later in found[at:] if later.id != CUSTOM)]
    return found


def stripped(data: bytes) -> bytes:
    """The bytes of a readable module that V8 gets to see."""
    if _COMPILED not in data:
        return data
    view = memoryview(data)
    found = list(sections(view))
    starts = [HEADER, *(section.end for section in found)]
    seen = set(kept(found, view))
    parts = [
        data[start : section.end] for start, section in zip(starts, found, strict=False) if section in seen
    ]
    return data[:HEADER] + b"".join(parts)


def _stray(section: int, at: int) -> str:
    return f"byte {at} (0x{section:02x}) begins no section: bytes after the last section"
