"""Constant expressions: what a global begins with and where a segment goes (WebAssembly core spec).

Whether one is valid is decided elsewhere; here it is read past, and its number is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from registry.wasm.reader import BeyondLimit, Malformed, Reader

MAX_INSTRUCTIONS = 20_000

_I32, _I64 = (1 << 32) - 1, (1 << 64) - 1
_ADD: Callable[[int, int], int] = int.__add__
_SUB: Callable[[int, int], int] = int.__sub__
_MUL: Callable[[int, int], int] = int.__mul__
_ARITHMETIC = {
    0x6A: (_ADD, _I32),
    0x6B: (_SUB, _I32),
    0x6C: (_MUL, _I32),
    0x7C: (_ADD, _I64),
    0x7D: (_SUB, _I64),
    0x7E: (_MUL, _I64),
}
_END, _GLOBAL_GET, _I32_CONST, _I64_CONST, _F32_CONST, _F64_CONST = 0x0B, 0x23, 0x41, 0x42, 0x43, 0x44
_REF_NULL, _REF_FUNC, _GC, _VECTOR = 0xD0, 0xD2, 0xFB, 0xFD
_V128_CONST = 12
# How many indices follow an instruction of GC that may stand here.
_GC_INDICES = {0: 1, 1: 1, 6: 1, 7: 1, 8: 2, 26: 0, 27: 0, 28: 0}


def constant(reader: Reader, globals_: Sequence[int | None], most: int = MAX_INSTRUCTIONS) -> int | None:
    """Read a constant expression; its number, unsigned, or None for what is no number or not known here.

    `globals_` are the numbers of the globals before it. Raises Malformed for an instruction that is
    not constant, BeyondLimit for more than `most` of them.
    """
    stack: list[int | None] = []
    while (opcode := reader.byte()) != _END:
        most -= 1
        if most < 0:
            raise BeyondLimit(f"the constant expression before byte {reader.place} is very long")
        if opcode == _I32_CONST:
            stack.append(reader.signed(32) & _I32)
        elif opcode == _I64_CONST:
            stack.append(reader.signed(64) & _I64)
        elif opcode == _GLOBAL_GET:
            index = reader.unsigned()
            stack.append(globals_[index] if index < len(globals_) else None)
        elif opcode in _ARITHMETIC:
            operation, mask = _ARITHMETIC[opcode]
            right, left = _pop(stack), _pop(stack)
            stack.append(None if left is None or right is None else operation(left, right) & mask)
        else:
            _skip(opcode, reader)
            stack.append(None)
    return _pop(stack)


def _pop(stack: list[int | None]) -> int | None:
    return stack.pop() if stack else None


def _skip(opcode: int, reader: Reader) -> None:
    """The immediates of an instruction whose result is no integer."""
    if opcode == _REF_NULL:
        reader.signed(33)
    elif opcode == _REF_FUNC:
        reader.unsigned()
    elif opcode == _F32_CONST:
        reader.skip(4)
    elif opcode == _F64_CONST:
        reader.skip(8)
    elif opcode == _VECTOR and reader.unsigned() == _V128_CONST:
        reader.skip(16)
    elif opcode == _GC and (indices := _GC_INDICES.get(reader.unsigned())) is not None:
        for _ in range(indices):
            reader.unsigned()
    else:
        raise Malformed(f"the instruction 0x{opcode:02x} before byte {reader.place} is not constant")
