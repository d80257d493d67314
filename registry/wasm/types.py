"""Types of a module: functions, values and memories (WebAssembly core spec, "Binary Format", Types)."""

from __future__ import annotations

from dataclasses import dataclass

from registry.wasm.reader import BeyondLimit, Malformed, Reader

MAX_TYPES = 20_000
MAX_PARAMS = 1_000

_NUMBERS = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}
_PACKED = {0x78: "i8", 0x77: "i16"}
_REFERENCES = {
    0x70: "funcref",
    0x6F: "externref",
    0x6E: "anyref",
    0x6D: "eqref",
    0x6C: "i31ref",
    0x6B: "structref",
    0x6A: "arrayref",
    0x69: "exnref",
    0x71: "nullref",
    0x72: "nullexternref",
    0x73: "nullfuncref",
    0x74: "nullexnref",
}
_CODES = {name.removesuffix("ref"): code for code, name in _REFERENCES.items()}
_SHORT = _NUMBERS | _REFERENCES
_PRINTED = {name: name for name in ("i32", "i64", "f32", "f64", "funcref", "externref")} | {
    f"(ref {null}{heap})": f"{heap}ref" for heap in ("func", "extern") for null in ("", "null ")
}
_FUNCTION, _STRUCT, _ARRAY = 0x60, 0x5F, 0x5E
_REC, _SUB, _SUB_FINAL = 0x4E, 0x50, 0x4F


@dataclass(frozen=True, slots=True)
class FuncType:
    """What a function takes and gives."""

    params: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def __str__(self) -> str:
        results = ", ".join(self.results) if self.results else "void"
        return f"({', '.join(self.params)}) -> {results}"

    @classmethod
    def spelled(cls, text: str) -> FuncType:
        """The type that Envoy prints as `text`, such as `i32 i64 -> void`."""
        params, results = (tuple(side.split()) for side in text.replace("void", "").split("->"))
        return cls(params, results)

    def as_printed(self) -> str:
        """The type as Envoy prints it in its errors (src/v8/v8.cc, printValTypes)."""
        return f"{_printed(self.params)} -> {_printed(self.results)}"

    @property
    def types(self) -> tuple[str, ...]:
        """All value types in it."""
        return self.params + self.results


@dataclass(frozen=True, slots=True)
class Memory:
    """A linear memory; its limits are in pages of 64 KiB."""

    minimum: int
    maximum: int | None = None
    shared: bool = False
    is64: bool = False
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the type of its elements, and its limits in entries."""

    element: str
    minimum: int
    maximum: int | None = None
    is64: bool = False
    imported: bool = False


def printable(value: str) -> str | None:
    """The name that Envoy's engine has for a value type at a module's border; None where it has none.

    V8's C API (src/wasm/c-api.cc) knows four numbers and two references there, null or not; it ends
    the process for anything else.
    """
    return _PRINTED.get(value)


def _printed(values: tuple[str, ...]) -> str:
    return " ".join(printable(value) or "unknown" for value in values) or "void"


def read_types(reader: Reader) -> tuple[FuncType | None, ...]:
    """The entries of a type section in order; None stands for what is no function (GC's types)."""
    found: list[FuncType | None] = []
    shared: dict[FuncType, FuncType] = {}
    for _ in range(reader.count("types", MAX_TYPES)):
        group = 1
        if reader.peek() == _REC:
            reader.byte()
            group = reader.count("types in a group", MAX_TYPES)
        for _ in range(group):
            entry = _sub_type(reader)
            # Equal signatures share one value: a hostile section must not cost more than its bytes.
            found.append(shared.setdefault(entry, entry) if entry else None)
        if len(found) > MAX_TYPES:
            raise BeyondLimit(f"it has more than {MAX_TYPES} types")
    return tuple(found)


def value_type(reader: Reader) -> str:
    """A value type by its name, such as `i32`."""
    code = reader.byte()
    if name := _SHORT.get(code):
        return name
    if code in (0x63, 0x64):
        nullable = "null " if code == 0x63 else ""
        return f"(ref {nullable}{_heap_type(reader)})"
    raise Malformed(f"0x{code:02x} is no value type")


def heap_type_code(value: str) -> bytes:
    """How the heap type of a reference type is written, such as 0x70 for `funcref` and `(ref func)`."""
    heap = value.removeprefix("(ref ").removeprefix("null ").removesuffix(")")
    if heap.isdecimal():
        index = int(heap)
        out = bytearray()
        while index > 0x3F:
            out.append(index & 0x7F | 0x80)
            index >>= 7
        return bytes((*out, index))
    return bytes((_CODES[heap.removesuffix("ref")],))


def table(reader: Reader, *, imported: bool = False) -> Table:
    """A table type."""
    element = value_type(reader)
    minimum, maximum, _, is64 = _limits(reader)
    return Table(element, minimum, maximum, is64, imported)


def global_type(reader: Reader) -> str:
    """A global's value type; what follows says whether it can be set."""
    value = value_type(reader)
    if reader.byte() > 3:
        raise Malformed("a global that is neither constant nor variable")
    return value


def memory(reader: Reader, *, imported: bool = False) -> Memory:
    """A memory type."""
    minimum, maximum, shared, is64 = _limits(reader)
    return Memory(minimum, maximum, shared, is64, imported)


def _heap_type(reader: Reader) -> str:
    index = reader.signed(33)
    if index >= 0:
        return str(index)
    name = _REFERENCES.get(index & 0x7F)
    if name is None or index < -64:
        raise Malformed(f"{index} is no heap type")
    return name.removesuffix("ref")


def _sub_type(reader: Reader) -> FuncType | None:
    if reader.peek() in (_SUB, _SUB_FINAL):
        reader.byte()
        for _ in range(reader.count("supertypes", 1)):
            reader.unsigned()
    return _composite_type(reader)


def _composite_type(reader: Reader) -> FuncType | None:
    form = reader.byte()
    if form == _FUNCTION:
        return FuncType(_values(reader, "parameters"), _values(reader, "results"))
    if form == _STRUCT:
        for _ in range(reader.count("fields", 10_000)):
            _field(reader)
        return None
    if form == _ARRAY:
        _field(reader)
        return None
    raise Malformed(f"0x{form:02x} begins no type")


def _values(reader: Reader, what: str) -> tuple[str, ...]:
    return tuple(value_type(reader) for _ in range(reader.count(what, MAX_PARAMS)))


def _field(reader: Reader) -> None:
    if reader.peek() in _PACKED:
        reader.byte()
    else:
        value_type(reader)
    if reader.byte() > 1:
        raise Malformed("a field that is neither constant nor variable")


def _limits(reader: Reader) -> tuple[int, int | None, bool, bool]:
    flags = reader.byte()
    if flags > 7:
        raise Malformed(f"limits with the unknown flags 0x{flags:02x}")
    is64 = bool(flags & 4)
    bits = 64 if is64 else 32
    minimum = reader.unsigned(bits)
    maximum = reader.unsigned(bits) if flags & 1 else None
    return minimum, maximum, bool(flags & 2), is64
