"""Legacy exception handling (try, catch, rethrow, delegate), which V8 takes and wasmtime does not know.

A module with it is rewritten into one without it that is valid exactly when the first is: its bodies
are judged by wasmtime then, its own rules here (V8, src/wasm/function-body-decoder-impl.h: Try, Catch,
CatchAll, Rethrow, Delegate).

    try T   A          block T   A
    catch x B    →     end   drop T's results   defaults of T's and x's parameters, T's under a block:
    end                block T   drop T's parameters   defaults of x's parameters   B
                       end

Label depths stay as they are. `rethrow` becomes `unreachable`, as both end their block; `delegate` becomes
`end`.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry.wasm.bodies import bodies, code_of, leb, locals_of
from registry.wasm.module import Module
from registry.wasm.opcodes import (
    ARRAY_NEW_FIXED,
    BLOCK,
    CATCH,
    CATCH_ALL,
    DELEGATE,
    DROP,
    EMPTY,
    END,
    EXCEPTION_TYPES,
    GC,
    IF,
    LEGACY,
    LOOP,
    MAX_STOPS,
    OPENING,
    REF_NULL,
    RETHROW,
    SELECT_TYPED,
    THROW_REF,
    TRY,
    TRY_TABLE,
    UNREACHABLE,
    block_type,
    handles_nothing,
    stops,
)
from registry.wasm.reader import BeyondLimit, Malformed, Reader
from registry.wasm.types import FuncType, heap_type_code, value_type

MAX_BODIES = 300_000
_MOST_GROWN = 32 << 20

_NEW = frozenset((THROW_REF, TRY_TABLE, REF_NULL))
_TYPED = frozenset((BLOCK, LOOP, IF, TRY, TRY_TABLE))
_CATCHING = ("catch", "catch all")
_CONSTANTS = {
    "i32": b"\x41\0",
    "i64": b"\x42\0",
    "f32": b"\x43" + bytes(4),
    "f64": b"\x44" + bytes(8),
    "v128": b"\xfd\x0c" + bytes(16),
}
_MIXED = "it mixes legacy and new exception handling"


class Invalid(Exception):
    """A rule of legacy exception handling that is broken; its text says which."""


@dataclass(slots=True)
class _Label:
    kind: str
    type: FuncType
    written: bytes = b""


def rewritten(module: Module, view: memoryview) -> bytes:
    """The module without legacy exception handling, valid exactly when it is.

    Raises Invalid for a broken rule, Malformed for code that cannot be read, BeyondLimit for too much of it.
    """
    found = code_of(view)
    if found is None:
        return bytes(view)
    section, code = found
    rewriter = _Rewriter(module)
    made = [rewriter.body(body) for body in bodies(code)]
    if rewriter.legacy and rewriter.new:
        raise Invalid(_MIXED)
    content = leb(len(made)) + b"".join(leb(len(body)) + body for body in made)
    # The section's head ends where its content starts; its length is a LEB128 of up to 5 bytes before it.
    head = _head_of(view, section.start, len(section))
    return b"".join((view[:head], bytes((section.id,)), leb(len(content)), content, view[section.end :]))


def _head_of(view: memoryview, start: int, length: int) -> int:
    """Where the section begins whose content is at `start`."""
    for size in range(1, 6):
        reader = Reader(bytes(view[start - size : start]))
        if view[start - size - 1] == 10 and reader.unsigned() == length and reader.at_end():
            return start - size - 1
    raise Malformed("the code section has no head")


class _Rewriter:
    """Rewrites bodies, and remembers which kinds of exception handling they have."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.legacy = False
        self.new = False
        self.seen = 0
        self.stops = 0
        self.grown = 0

    def body(self, body: bytes) -> bytes:
        """A body without legacy exception handling."""
        start, types = locals_of(body) if body[:1] != b"\0" else (1, b"")
        self.seen += 1
        if self.seen > MAX_BODIES:
            raise BeyondLimit(f"it has legacy exceptions and more than {MAX_BODIES} functions")
        if handles_nothing(body, start) and not _has_exceptions(types):
            return body
        self.new = self.new or _has_exceptions(types)
        labels = [_Label("function", FuncType())]
        made: list[bytes] = []
        copied = 0
        for opcode, at, end in stops(body, start):
            self.stops += 1
            if self.stops > MAX_STOPS:
                raise BeyondLimit(f"its exceptions are among more than {MAX_STOPS} blocks")
            self._note(opcode, body[at + 1 : end])
            replacement = self._replacement(opcode, body, at, end, labels)
            if replacement is not None:
                self.grown += len(replacement)
                if self.grown > _MOST_GROWN:
                    raise BeyondLimit("its legacy exceptions carry very many values")
                made += (body[copied:at], replacement)
                copied = end
        made.append(body[copied:])
        return b"".join(made)

    def _note(self, opcode: int, immediates: bytes) -> None:
        if opcode in LEGACY:
            self.legacy = True
        if opcode == GC and Reader(immediates).unsigned() != ARRAY_NEW_FIXED:
            self.new = True
        if opcode in _NEW or ((opcode in _TYPED or opcode == SELECT_TYPED) and _has_exceptions(immediates)):
            self.new = True

    def _replacement(self, opcode: int, body: bytes, at: int, end: int, labels: list[_Label]) -> bytes | None:
        """What stands for the instruction; None where it stays as it is."""
        if opcode in OPENING:
            written = block_type(body, at + 1)
            labels.append(_Label("try" if opcode == TRY else "block", self._type(written), written))
            return bytes((BLOCK,)) + written if opcode == TRY else None
        if opcode == END and labels:
            labels.pop()
        elif opcode in (CATCH, CATCH_ALL):
            return self._catch(opcode, body[at + 1 : end], labels)
        elif opcode == RETHROW:
            depth = Reader(body[at + 1 : end]).unsigned()
            if depth >= len(labels) or labels[-1 - depth].kind not in _CATCHING:
                raise Invalid("rethrow does not name a catch")
            return bytes((UNREACHABLE,))
        elif opcode == DELEGATE:
            if not labels or labels[-1].kind != "try":
                raise Invalid("delegate does not end a try")
            if Reader(body[at + 1 : end]).unsigned() >= len(labels) - 1:
                raise Invalid("delegate names a block that is not there")
            labels.pop()
            return bytes((END,))
        return None

    def _catch(self, opcode: int, immediate: bytes, labels: list[_Label]) -> bytes:
        if not labels or labels[-1].kind not in ("try", "catch"):
            raise Invalid("catch does not belong to a try")
        label = labels[-1]
        label.kind = "catch" if opcode == CATCH else "catch all"
        caught: tuple[str, ...] = ()
        if opcode == CATCH:
            tag = Reader(immediate).unsigned()
            if tag >= len(self.module.tags):
                raise Invalid(f"catch names tag {tag}, which is not there")
            caught = self.module.tags[tag].params
        drop = bytes((DROP,))
        return b"".join(
            (
                bytes((END,)),
                drop * len(label.type.results),
                _defaults(label.type.params),
                bytes((BLOCK,)),
                label.written,
                drop * len(label.type.params),
                _defaults(caught),
            )
        )

    def _type(self, written: bytes) -> FuncType:
        if written == bytes((EMPTY,)):
            return FuncType()
        reader = Reader(written)
        if (index := Reader(written).signed(33)) >= 0 and written[0] not in (0x63, 0x64):
            found = self.module.types[index] if index < len(self.module.types) else None
            if found is None:
                raise Invalid(f"type {index} of a block is no function's")
            return found
        return FuncType((), (value_type(reader),))


def _has_exceptions(types: bytes) -> bool:
    """Whether value types as they are written have one of the new exception handling among them."""
    reader = Reader(types)
    while not reader.at_end():
        code = reader.byte()
        if code in EXCEPTION_TYPES:
            return True
        if code in (0x63, 0x64) and reader.byte() in EXCEPTION_TYPES:
            return True
    return False


def _defaults(values: tuple[str, ...]) -> bytes:
    """Instructions that give one value of each type."""
    return b"".join(_default(value) for value in values)


def _default(value: str) -> bytes:
    if constant := _CONSTANTS.get(value):
        return constant
    null = b"\xd0" + heap_type_code(value)
    return null if not value.startswith("(ref ") or value.startswith("(ref null ") else null + b"\xd4"
