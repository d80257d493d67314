"""Instructions: where each begins and ends, by opcode and immediates (core spec, "Instructions"; V8's
src/wasm/wasm-opcodes.h for the legacy ones).

Most of a body is instructions that need no look: one regular expression runs over them. It stops at those
that open or close a block, at those of exception handling, and at those that V8 limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from registry.wasm.reader import BeyondLimit, Malformed, Reader

MAX_STOPS = 400_000
"""Instructions that need a look; a body of the largest size that compilers write has a tenth of them."""

BLOCK, LOOP, IF, ELSE, TRY, CATCH, THROW, RETHROW, THROW_REF, END = range(0x02, 0x0C)
BR_TABLE, DELEGATE, CATCH_ALL, DROP, UNREACHABLE = 0x0E, 0x18, 0x19, 0x1A, 0x00
SELECT_TYPED, TRY_TABLE, REF_NULL, GC = 0x1C, 0x1F, 0xD0, 0xFB
EMPTY = 0x40

OPENING = frozenset((BLOCK, LOOP, IF, TRY, TRY_TABLE))
LEGACY = frozenset((TRY, CATCH, RETHROW, DELEGATE, CATCH_ALL))
EXCEPTION_TYPES = frozenset((0x69, 0x74))
"""exnref and nullexnref, as value types and as heap types."""

_LEB = rb"[\x80-\xff]*[\x00-\x7f]"
# An alignment with the bit 0x40 is followed by the index of a memory.
_MEMORY = (
    rb"(?:(?:[\x00-\x3f]|[\x80-\xbf][\x80-\xff]*[\x00-\x7f])"
    rb"|(?:[\x40-\x7f]|[\xc0-\xff][\x80-\xff]*[\x00-\x7f])" + _LEB + rb")" + _LEB
)


def _numbers(*ranges: tuple[int, int]) -> bytes:
    """A pattern for the LEB128 of any number in the ranges (ends included), also a longer one than needed."""
    found = []
    for first, last in ranges:
        for number in range(first, last + 1):
            low, high = number & 0x7F, number >> 7
            if high:
                found.append(b"\\x%02x(?:\\x%02x|\\x%02x\\x80*\\x00)" % (low | 0x80, high, high | 0x80))
            else:
                found.append(b"(?:\\x%02x|\\x%02x\\x80*\\x00)" % (low, low | 0x80))
    return b"(?:" + b"|".join(found) + b")"


def _prefixed(prefix: int, *rows: tuple[bytes, bytes]) -> bytes:
    return b"\\x%02x(?:" % prefix + b"|".join(numbers + rest for numbers, rest in rows) + b")"


_PLAIN = b"|".join(
    (
        rb"[\x20-\x26\x41\x42\x10\x0c\x0d\x08\x3f\x40\x12\x14\x15\xd2\xd5\xd6]" + _LEB,
        rb"[\x00\x01\x0f\x1a\x1b\x45-\xc4\xd1\xd3\xd4]",
        rb"[\x28-\x3e]" + _MEMORY,
        rb"\x43.{4}|\x44.{8}",
        rb"[\x11\x13]" + _LEB + _LEB,
        rb"\xd0(?![\x69\x74])" + _LEB,
        _prefixed(
            0xFC,
            (_numbers((0, 7)), b""),
            (_numbers((8, 8), (10, 10), (12, 12), (14, 14)), _LEB + _LEB),
            (_numbers((9, 9), (11, 11), (13, 13), (15, 17)), _LEB),
        ),
        _prefixed(
            0xFD,
            (_numbers((0, 11), (92, 93)), _MEMORY),
            (_numbers((12, 13)), b".{16}"),
            (_numbers((21, 34)), b"."),
            (_numbers((84, 91)), _MEMORY + b"."),
            (_numbers((14, 20), (35, 83), (94, 275)), b""),
        ),
        _prefixed(0xFE, (_numbers((0, 2), (16, 78)), _MEMORY), (_numbers((3, 3)), b".")),
        _prefixed(
            0xFB,
            (_numbers((2, 5), (9, 10), (17, 19)), _LEB + _LEB),
            (_numbers((0, 1), (6, 7), (11, 14), (16, 16)), _LEB),
            (_numbers((20, 23)), rb"(?![\x69\x74])" + _LEB),
            (_numbers((24, 25)), b"." + _LEB + rb"(?![\x69\x74])" + _LEB + rb"(?![\x69\x74])" + _LEB),
            (_numbers((15, 15), (26, 30)), b""),
        ),
    )
)
# Blocks as well, and small tables of branches: all that a body has that handles no exception.
_TABLES = b"|".join(b"\\x%02x" % count + _LEB * (count + 1) for count in range(1, 33))
_BLOCKS = (
    rb"[\x05\x0b]|[\x02-\x04](?:[\x00-\x62\x65-\x68\x6a-\x73\x75-\x7f]|[\x80-\xff]+[\x00-\x7f])|\x0e(?:"
    + (_TABLES + b")")
)
# Bounded, because what a repeat could take back is kept; possessive ones are wrong before Python 3.11.5.
_RUN = b"(?:" + _PLAIN + b"){0,1000}"
_USUAL = b"(?:" + _PLAIN + b"|" + _BLOCKS + b"){0,1000}"
_BLOCK_TYPE = re.compile(rb"[\x63\x64]?" + _LEB, re.DOTALL)
ARRAY_NEW_FIXED = 8


def stops(code: bytes, pos: int) -> Iterator[tuple[int, int, int]]:
    """The instructions that need a look, to the end of `code`: opcode, where it begins, where it ends.

    Raises Malformed for bytes that are no instruction known here, BeyondLimit for very many.
    """
    size = len(code)
    for _ in range(MAX_STOPS):
        pos = _past_all(_RUN, code, pos)
        if pos >= size:
            return
        end = _end(code, pos)
        yield code[pos], pos, end
        pos = end
    raise BeyondLimit(f"a body has more than {MAX_STOPS} blocks")


def handles_nothing(code: bytes, pos: int) -> bool:
    """Whether the instructions to the end of `code` surely have no handling of exceptions among them."""
    return _past_all(_USUAL, code, pos) == len(code)


def block_type(code: bytes, pos: int) -> bytes:
    """The type of the block whose opcode is before `pos`, as it is written."""
    found = _BLOCK_TYPE.match(code, pos)
    if found is None:
        raise Malformed(f"the block at byte {pos} of its body has no type")
    return found.group()


def _past_all(run: bytes, code: bytes, pos: int) -> int:
    """Behind the runs that begin here, one after another."""
    pattern = _compiled(run)
    while (found := pattern.match(code, pos)) and found.end() > pos:
        pos = found.end()
    return pos


@cache
def _compiled(run: bytes) -> re.Pattern[bytes]:
    """Made when it is needed: that takes a while, and few modules are looked at so closely."""
    return re.compile(run, re.DOTALL)


def _end(code: bytes, pos: int) -> int:
    opcode = code[pos]
    if opcode in (ELSE, END, CATCH_ALL, THROW_REF):
        return pos + 1
    if opcode in (BLOCK, LOOP, IF, TRY):
        return pos + 1 + len(block_type(code, pos + 1))
    reader = Reader(code)
    reader.pos = pos + 1
    if opcode in (CATCH, RETHROW, DELEGATE, REF_NULL):
        reader.unsigned(64)
    elif opcode == BR_TABLE:
        reader.pos = _past(code, reader.count("targets", len(code)) + 1, reader.pos)
    elif opcode == SELECT_TYPED:
        for _ in range(reader.count("types", len(code))):
            reader.skip(len(block_type(code, reader.pos)))
    elif opcode == TRY_TABLE:
        reader.skip(len(block_type(code, reader.pos)))
        for _ in range(reader.count("catches", len(code))):
            indices = 2 if reader.byte() < 2 else 1
            for _ in range(indices):
                reader.unsigned()
    elif opcode == GC:
        number = reader.unsigned()
        if number == ARRAY_NEW_FIXED:
            reader.unsigned()
            reader.unsigned()
        elif 20 <= number <= 23:
            reader.signed(33)
        elif number in (24, 25):
            reader.byte()
            reader.unsigned()
            reader.signed(33)
            reader.signed(33)
        else:
            raise Malformed(f"byte {pos} of its body (0x{opcode:02x}) begins no instruction")
    else:
        raise Malformed(f"byte {pos} of its body (0x{opcode:02x}) begins no instruction")
    return reader.pos


_HIGH = bytes(range(0x80, 0x100))


def _past(code: bytes, count: int, pos: int) -> int:
    """Where `count` LEB128 numbers end: each has one byte below 0x80, its last."""
    while count:
        piece = code[pos : pos + count]
        if not piece:
            raise Malformed(f"the numbers at byte {pos} of its body run over its end")
        count -= len(piece.translate(None, _HIGH))
        pos += len(piece)
    return pos
