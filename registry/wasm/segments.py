"""What is copied into memories and tables when a module is instantiated, and whether it fits.

Only places that are constant are looked at: a segment that is out of bounds ends the instantiation (core
spec, "Instantiation"). Memories have a size then that V8 has to grant: Envoy runs it with
--wasm_max_mem_pages (proxy-wasm-cpp-host, src/v8/v8.cc and include/proxy-wasm/limits.h: 1 GiB).
"""

from __future__ import annotations

import re
from functools import lru_cache

from registry.wasm.bodies import section_of
from registry.wasm.constants import constant
from registry.wasm.module import Module
from registry.wasm.reader import BeyondLimit, Reader
from registry.wasm.sections import DATA, ELEMENT
from registry.wasm.types import value_type

MAX_PAGES = 16_384
PAGE = 1 << 16
# A place is one to three instructions; elements that are computed (by GC's instructions) are few.
_MAX_PLACE = 30
_MAX_COMPUTED = 200_000

_HIGH = bytes(range(0x80, 0x100))
# One element by ref.func, ref.null or global.get: nearly all are.
_ONE = rb"[\xd2\xd0\x23][\x80-\xff]*[\x00-\x7f]\x0b"
_ELEMENT = re.compile(_ONE)
_MANY = 1_000
_ELEMENTS = re.compile(b"(?:" + _ONE + b"){%d}" % _MANY)

# A segment for the first memory: flags, i32.const, the place, end. Its place is bounded in steps of 16 KiB,
# by the third and fourth group of its 7 bits; it has up to 127 bytes.
_STEP = 14
_SHORT = 0x7F


def too_large(module: Module) -> str | None:
    """Which memory begins with more than Envoy lets V8 have."""
    for memory in module.memories:
        if memory.minimum > MAX_PAGES:
            return f"a memory begins with {memory.minimum} pages, {MAX_PAGES} (1 GiB) is the limit"
    return None


def out_of_bounds(module: Module, view: memoryview) -> str | None:
    """Which segment of a valid module does not fit where it goes; raises BeyondLimit for too much to see."""
    if found := section_of(view, ELEMENT):
        reader = Reader(bytes(view[found.start : found.end]), found.start)
        for number in range(reader.unsigned()):
            if says := _element(module, reader):
                return f"element segment {number} {says}"
    if found := section_of(view, DATA):
        reader = Reader(bytes(view[found.start : found.end]), found.start)
        reader.unsigned()
        small = _small_data(module.memories[0].minimum * PAGE) if module.memories else None
        while not reader.at_end():
            if small and (passed := reader.match(small)):
                reader.skip(len(passed))
            elif says := _data(module, reader):
                return f"a data segment {says}"
    return None


@lru_cache(maxsize=64)
def _small_data(room: int) -> re.Pattern[bytes] | None:
    """Finds a run of small segments that fit into so many bytes: a Go program has tens of thousands."""
    fourth, third = divmod((room - _SHORT) >> _STEP, 0x80)
    if room <= _SHORT or fourth == third == 0:
        return None
    places = [rb"[\x80-\xff]?[\x00-\x3f]"]
    places.append(rb"[\x80-\xff]{2}[\x00-%s]" % _byte(min(third - 1 if not fourth else 0x3F, 0x3F)))
    if fourth:
        places.append(rb"[\x80-\xff]{3}[\x00-%s]" % _byte(min(fourth - 1, 0x3F)))
    if fourth and third and fourth <= 0x3F:
        places.append(rb"[\x80-\xff]{2}[\x80-%s]%s" % (_byte(0x80 | third - 1), _byte(fourth)))
    lengths = b"|".join(b"%s.{%d}" % (_byte(length), length) for length in range(_SHORT + 1))
    return re.compile(rb"(?:\x00\x41(?:%s)\x0b(?:%s)){1,1000}" % (b"|".join(places), lengths), re.DOTALL)


def _byte(value: int) -> bytes:
    return re.escape(bytes((value,)))


def _data(module: Module, reader: Reader) -> str | None:
    flags = reader.unsigned()
    memory = reader.unsigned() if flags == 2 else 0
    at = None if flags == 1 else constant(reader, module.globals, _MAX_PLACE)
    length = reader.unsigned()
    reader.skip(length)
    return _past_memory(module, memory, at, length)


def _past_memory(module: Module, memory: int, at: int | None, length: int) -> str | None:
    if at is None:
        return None
    pages = module.memories[memory].minimum
    return None if at + length <= pages * PAGE else f"ends at byte {at + length} of a memory of {pages} pages"


def _element(module: Module, reader: Reader) -> str | None:
    flags = reader.unsigned()
    active, indexed, expressions = not flags & 1, bool(flags & 2), bool(flags & 4)
    table = reader.unsigned() if active and indexed else 0
    at = constant(reader, module.globals, _MAX_PLACE) if active else None
    if flags & 3:
        if expressions:
            value_type(reader)
        else:
            reader.skip(1)
    length = reader.unsigned()
    if expressions:
        _skip_expressions(module, reader, length)
    else:
        _skip_indices(reader, length)
    if at is None or at + length <= module.tables[table].minimum:
        return None
    return f"ends at entry {at + length} of a table of {module.tables[table].minimum}"


def _skip_indices(reader: Reader, count: int) -> None:
    while count:
        piece = reader.take(count)
        # A LEB128 number ends with its first byte below 0x80.
        count -= len(piece.translate(None, _HIGH))


def _skip_expressions(module: Module, reader: Reader, count: int) -> None:
    computed = 0
    while count:
        if count >= _MANY and (found := reader.match(_ELEMENTS)):
            reader.skip(len(found))
            count -= _MANY
            continue
        if found := reader.match(_ELEMENT):
            reader.skip(len(found))
        else:
            constant(reader, module.globals)
            computed += 1
        count -= 1
        if computed > _MAX_COMPUTED:
            raise BeyondLimit(f"an element segment has more than {_MAX_COMPUTED} elements that are computed")
