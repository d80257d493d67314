"""The code section: function bodies, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from registry.wasm.looks import HEADER
from registry.wasm.module import Buffer
from registry.wasm.reader import Reader
from registry.wasm.sections import CODE, Section, sections

_TRAP = b"\x03\x00\x00\x0b"  # three bytes: no locals, unreachable, end


def section_of(view: memoryview, number: int) -> Section | None:
    """The section of that number; a readable module has each known one once at most."""
    return next((found for found in sections(view) if found.id == number), None)


def bodies(code: bytes) -> Iterator[bytes]:
    """The bodies in the content of a code section; raises Malformed when they are cut short."""
    reader = Reader(code)
    for _ in range(reader.unsigned()):
        size = reader.unsigned()
        start = reader.pos
        reader.skip(size)
        yield code[start : reader.pos]


def long_bodies(code: bytes, least: int) -> Iterator[bytes]:
    """Those of more than `least` bytes, at least 16,384; raises Malformed when they are cut short."""
    reader = Reader(code)
    reader.unsigned()
    pos, end = reader.pos, len(code)
    while pos < end:
        size = code[pos]
        if size < 0x80:
            pos += 1 + size
        elif pos + 1 < end and code[pos + 1] < 0x80:
            pos += 2 + (size & 0x7F | code[pos + 1] << 7)
        else:
            reader.pos = pos
            size = reader.unsigned()
            pos = reader.pos + size
            if size > least:
                yield code[reader.pos : pos]


def code_of(view: memoryview) -> tuple[Section, bytes] | None:
    """The code section and its content."""
    found = section_of(view, CODE)
    return (found, bytes(view[found.start : found.end])) if found else None


def without_code(data: Buffer) -> bytes:
    """A readable module with the shortest code in every body: one that traps."""
    with memoryview(data) as view:
        before = HEADER
        for section in sections(view):
            if section.id == CODE:
                count = Reader(bytes(view[section.start : section.end])).unsigned()
                content = leb(count) + _TRAP * count
                code = bytes((CODE,)) + leb(len(content)) + content
                return b"".join((view[:before], code, view[section.end :]))
            before = section.end
        return bytes(view)


def locals_of(body: bytes) -> tuple[int, bytes]:
    """Where the instructions of a body begin, and the types of its locals, as they are written."""
    reader = Reader(body)
    types = []
    for _ in range(reader.unsigned()):
        reader.unsigned()
        start = reader.pos
        if reader.byte() in (0x63, 0x64):
            reader.signed(33)
        types.append(body[start : reader.pos])
    return reader.pos, b"".join(types)


def leb(number: int) -> bytes:
    """An unsigned number as LEB128."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)
