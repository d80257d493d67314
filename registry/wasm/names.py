"""The names of functions, as Envoy reads them before it loads anything: a broken list ends the loading.

proxy-wasm-cpp-host, src/bytecode_util.cc: getFunctionNameIndex, getCustomSection, parseVarint. The engines
forgive what Envoy does not.
"""

from __future__ import annotations

import re

from registry.wasm.reader import Malformed, Reader
from registry.wasm.sections import CUSTOM, custom_title, sections

_TITLE = b"name"
_FUNCTIONS = 1
_MOST = 1 << 30

# So many names of up to 127 bytes, each behind its function's number of up to 28 bits: nearly all are so.
_RUN = 32
_LENGTHS = b"|".join(b"%s.{%d}" % (re.escape(bytes((length,))), length) for length in range(0x80))
_SHORT_ONES = re.compile(rb"(?:[\x80-\xff]{0,3}[\x00-\x7f](?:%s)){%d}" % (_LENGTHS, _RUN), re.DOTALL)


def broken(view: memoryview) -> str | None:
    """What Envoy cannot read in the first custom section called "name"; None when there is nothing."""
    for section in sections(view):
        if section.id != CUSTOM:
            continue
        whose = "a custom section"
        try:
            title, start = custom_title(view, section)
            if title == _TITLE:
                whose = "the name section"
                _read(bytes(view[start : section.end]), start)
                return None
        except Malformed as error:
            return f"{whose}: {error}"
    return None


def _read(data: bytes, base: int) -> None:
    reader = Reader(data, base)
    while not reader.at_end():
        subsection, size = reader.byte(), number(reader)
        start = reader.pos
        if subsection != _FUNCTIONS:
            reader.skip(size)
            continue
        if size > len(data) - start:
            raise Malformed(f"its part at byte {base + start} has {size} bytes, {len(data) - start} are left")
        left = reader.count("names", len(data))
        while left:
            if left >= _RUN and (found := reader.match(_SHORT_ONES)):
                reader.skip(len(found))
                left -= _RUN
                continue
            number(reader)
            reader.skip(number(reader))
            left -= 1
        if reader.pos != start + size:
            raise Malformed(f"the functions at byte {base + start} do not take {size} bytes")


def number(reader: Reader) -> int:
    """A number as Envoy reads it; raises Malformed for one of more than 30 bits."""
    found = reader.unsigned()
    if found >= _MOST:
        raise Malformed(f"the number {found} before byte {reader.place} is over 30 bits")
    return found
