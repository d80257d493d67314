"""A core module as a value: what it needs, what it offers, who made it; its code is never looked at."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from registry.verdict import Problem
from registry.wasm.looks import HEADER, header_problem
from registry.wasm.producers import Producers, read_producers
from registry.wasm.reader import BeyondLimit, Malformed, Reader
from registry.wasm.types import FuncType, Memory, memory, read_types, skip_global, skip_table

Kind = Literal["func", "table", "memory", "global", "tag"]
Buffer = bytes | bytearray | memoryview | mmap.mmap

# Far beyond any plugin, and small enough that a hostile module costs little time and memory.
MAX_SECTIONS = 10_000
MAX_SECTION = 1 << 20
MAX_IMPORTS = 10_000
MAX_EXPORTS = 50_000
MAX_MEMORIES = 1_000
MAX_FUNCTIONS = 1_000_000
MAX_CUSTOM = 1_000
_MAX_CUSTOM_READ = 128 << 10
_HEAD = 300

_KINDS: tuple[Kind, ...] = ("func", "table", "memory", "global", "tag")
_CUSTOM = 0
# In the order that the format demands.
_SECTIONS = {
    1: "type",
    2: "import",
    3: "function",
    4: "table",
    5: "memory",
    13: "tag",
    6: "global",
    7: "export",
    8: "start",
    9: "element",
    12: "data count",
    10: "code",
    11: "data",
}
_NAMES = {_CUSTOM: "custom", **_SECTIONS}
_ORDER = {section: at for at, section in enumerate(_SECTIONS)}
_CORRUPTED = "Envoy: Failed to parse corrupted Wasm module"
_INVALID = "Envoy: Failed to load Wasm bytecode"
_HIGH = bytes(range(0x80, 0x100))


class NotAModule(Exception):
    """Bytes that are no readable core module; `problem` says why and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Import:
    """Something the host has to provide; `signature` is that of a function or a tag."""

    module: str
    name: str
    kind: Kind
    signature: FuncType | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Export:
    """Something the module offers; `signature` is that of a function."""

    name: str
    kind: Kind
    index: int
    signature: FuncType | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """What can be told of a module without its code; `types` has None where GC's types stand."""

    size: int
    sha256: str
    types: tuple[FuncType | None, ...] = ()
    imports: tuple[Import, ...] = ()
    exports: tuple[Export, ...] = ()
    memories: tuple[Memory, ...] = ()
    start: int | None = None
    custom_sections: tuple[str, ...] = ()
    producers: Producers = field(default_factory=Producers)

    @property
    def imports_tags(self) -> bool:
        """Whether it imports a tag of exception handling."""
        return any(needed.kind == "tag" for needed in self.imports)

    def function(self, name: str) -> Export | None:
        """The exported function of that name."""
        return next((found for found in self.exports if found.kind == "func" and found.name == name), None)


def read(data: Buffer, sha256: str | None = None) -> Module:
    """Read a module from its bytes; `sha256` (hexadecimal) is computed when it is not given.

    Raises NotAModule. Takes time in proportion to the bytes of the sections that are read, none of
    which may be over MAX_SECTION; code, data and what else is large are stepped over.
    """
    with memoryview(data) as view:
        size = len(view)
        if problem := header_problem(bytes(view[:_HEAD]), size):
            raise NotAModule(problem)
        says = _CORRUPTED
        try:
            sections = list(_sections(view, size))
            says = _INVALID
            _check_order(sections)
            parts = _Parts()
            for section, start, end in sections:
                if section in _READERS:
                    _read_section(parts, section, bytes(view[start:end]), start)
            exports = parts.resolved_exports()
        except Malformed as error:
            raise NotAModule(_problem(error, says)) from None
        return Module(
            size=size,
            sha256=sha256 or hashlib.sha256(view).hexdigest(),
            types=parts.types,
            imports=parts.imports,
            exports=exports,
            memories=parts.memories,
            start=parts.start,
            custom_sections=tuple(parts.custom),
            producers=parts.producers or Producers(),
        )


def _sections(view: memoryview, size: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end (of what is to be read) of each section, as far as Envoy's own parser looks."""
    pos = HEADER
    for _ in range(MAX_SECTIONS + 1):
        if pos >= size:
            return
        section = view[pos]
        name = _NAMES.get(section)
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
        if section in _READERS and section != _CUSTOM and length > MAX_SECTION:
            raise BeyondLimit(f"the {name} section has {length} bytes; {MAX_SECTION} is the limit")
        yield section, start, start + (length if section else min(length, _MAX_CUSTOM_READ))
        pos = start + length
    raise BeyondLimit(f"it has more than {MAX_SECTIONS} sections")


def _problem(error: Malformed, says: str) -> Problem:
    if isinstance(error, BeyondLimit):
        return Problem(
            "wasm-beyond-limits",
            f"the module is larger than this check looks into: {error}.",
            "Strip it, or split it into several plugins.",
        )
    return Problem(
        "wasm-malformed",
        f"{says}: {str(error)[:100]}.",
        "Build it again and push the file as the linker wrote it.",
    )


def _check_order(sections: list[tuple[int, int, int]]) -> None:
    """Known sections, each once and in the order of the format; custom ones anywhere."""
    last = -1
    for section, start, _ in sections:
        if section == _CUSTOM:
            continue
        if section not in _ORDER:
            raise Malformed(_stray(section, start))
        if _ORDER[section] <= last:
            raise Malformed(f"the {_NAMES[section]} section at byte {start} is repeated or out of order")
        last = _ORDER[section]


def _stray(section: int, at: int) -> str:
    return f"byte {at} (0x{section:02x}) begins no section: bytes after the last section"


class _Parts:
    """What has been read so far; a function's type is resolved when all of it is known."""

    def __init__(self) -> None:
        self.types: tuple[FuncType | None, ...] = ()
        self.imports: tuple[Import, ...] = ()
        self.memories: tuple[Memory, ...] = ()
        self.start: int | None = None
        self.custom: list[str] = []
        self.producers: Producers | None = None
        self.exports: list[tuple[str, Kind, int]] = []
        self.functions = 0
        self.function_types = b""

    def type(self, index: int) -> FuncType:
        """The function type at an index; raises Malformed where there is none."""
        found = self.types[index] if index < len(self.types) else None
        if found is None:
            raise Malformed(f"type {index} is no function's")
        return found

    def resolved_exports(self) -> tuple[Export, ...]:
        """The exports with the signatures of their functions."""
        imported = [needed.signature for needed in self.imports if needed.kind == "func"]
        own = [index - len(imported) for _, kind, index in self.exports if kind == "func"]
        types = self._types_of(max(own, default=-1))

        def signature(index: int) -> FuncType | None:
            return imported[index] if index < len(imported) else self.type(types[index - len(imported)])

        return tuple(
            Export(name, kind, index, signature(index) if kind == "func" else None)
            for name, kind, index in self.exports
        )

    def _types_of(self, last: int) -> bytes | list[int]:
        """The type indices of the module's own functions, up to the last that is asked for."""
        if last >= self.functions:
            raise Malformed(f"an export names function {last}, of {self.functions} that it defines")
        if self.function_types.isascii():  # indices of one byte each, as in most modules
            return self.function_types
        reader = Reader(self.function_types)
        return [reader.unsigned() for _ in range(last + 1)]


def _read_section(parts: _Parts, section: int, data: bytes, base: int) -> None:
    reader = Reader(data, base)
    _READERS[section](parts, reader)
    if section and not reader.at_end():
        raise Malformed(f"the {_NAMES[section]} section holds bytes after its last entry")


def _types(parts: _Parts, reader: Reader) -> None:
    parts.types = read_types(reader)


def _imports(parts: _Parts, reader: Reader) -> None:
    found: list[Import] = []
    memories: list[Memory] = []
    for _ in range(reader.count("imports", MAX_IMPORTS)):
        module, name, kind = reader.name(), reader.name(), _kind(reader)
        signature = None
        if kind == "func":
            signature = parts.type(reader.unsigned())
        elif kind == "table":
            skip_table(reader)
        elif kind == "memory":
            memories.append(memory(reader, imported=True))
        elif kind == "global":
            skip_global(reader)
        else:
            if reader.byte() != 0:
                raise Malformed("a tag of an unknown kind")
            signature = parts.type(reader.unsigned())
        found.append(Import(module, name, kind, signature))
    parts.imports, parts.memories = tuple(found), tuple(memories)


def _functions(parts: _Parts, reader: Reader) -> None:
    parts.functions = reader.count("functions", MAX_FUNCTIONS)
    parts.function_types = reader.rest
    # A LEB128 number ends with its first byte below 0x80: as many of these as there are functions.
    if len(parts.function_types.translate(None, _HIGH)) != parts.functions:
        raise Malformed(f"the function section does not hold {parts.functions} type indices")
    reader.pos += len(parts.function_types)


def _memories(parts: _Parts, reader: Reader) -> None:
    parts.memories += tuple(memory(reader) for _ in range(reader.count("memories", MAX_MEMORIES)))


def _exports(parts: _Parts, reader: Reader) -> None:
    seen: set[str] = set()
    for _ in range(reader.count("exports", MAX_EXPORTS)):
        name, kind, index = reader.name(), _kind(reader), reader.unsigned()
        if name in seen:
            raise Malformed(f"two exports are called {name[:40]!r}")
        seen.add(name)
        parts.exports.append((name, kind, index))


def _start(parts: _Parts, reader: Reader) -> None:
    parts.start = reader.unsigned()


def _custom(parts: _Parts, reader: Reader) -> None:
    name = reader.name(_MAX_CUSTOM_READ)
    if len(parts.custom) < MAX_CUSTOM:
        parts.custom.append(name[:200])
    if name == "producers" and parts.producers is None:
        parts.producers = read_producers(reader)


def _kind(reader: Reader) -> Kind:
    code = reader.byte()
    if code >= len(_KINDS):
        raise Malformed(f"0x{code:02x} is no kind of import or export")
    return _KINDS[code]


_READERS: dict[int, Callable[[_Parts, Reader], None]] = {
    0: _custom,
    1: _types,
    2: _imports,
    3: _functions,
    5: _memories,
    7: _exports,
    8: _start,
}
