"""A core module as a value: what it needs, what it offers, who made it; its code is never looked at."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from registry.verdict import Problem
from registry.wasm import glance, sections
from registry.wasm.constants import constant
from registry.wasm.looks import header_problem
from registry.wasm.producers import Producers, read_producers
from registry.wasm.reader import BeyondLimit, Malformed, Reader
from registry.wasm.sections import Section
from registry.wasm.types import FuncType, Memory, Table, global_type, memory, read_types, table

Kind = Literal["func", "table", "memory", "global", "tag"]
Buffer = bytes | bytearray | memoryview | mmap.mmap

# Far beyond any plugin, and small enough that a hostile module costs little time and memory.
MAX_SECTION = 1 << 20
MAX_IMPORTS = 10_000
MAX_EXPORTS = 50_000
MAX_MEMORIES = 1_000
MAX_TABLES = 1_000
MAX_GLOBALS = 200_000
MAX_FUNCTIONS = 1_000_000
MAX_CUSTOM = 1_000
_MAX_CUSTOM_READ = 128 << 10
_HEAD = 300

_KINDS: tuple[Kind, ...] = ("func", "table", "memory", "global", "tag")
_HIGH = bytes(range(0x80, 0x100))
_WITH_INITIALIZER = 0x40


class NotAModule(Exception):
    """Bytes that are no readable core module; `problem` says why and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Import:
    """Something the host has to provide; `signature` is that of a function or a tag.

    `type` is the value type of a global, and that of a table's elements.
    """

    module: str
    name: str
    kind: Kind
    signature: FuncType | None = None
    type: str = ""

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Export:
    """Something the module offers; `signature` is that of a function or a tag.

    `type` is the value type of a global, and that of a table's elements.
    """

    name: str
    kind: Kind
    index: int
    signature: FuncType | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """What can be told of a module without its code; `types` has None where GC's types stand.

    `tags` are the types of exception tags, `globals` the numbers of globals (None: not known before it
    runs, or no integer); both, as `memories` and `tables`, begin with what is imported.
    """

    size: int
    sha256: str
    types: tuple[FuncType | None, ...] = ()
    imports: tuple[Import, ...] = ()
    exports: tuple[Export, ...] = ()
    memories: tuple[Memory, ...] = ()
    tables: tuple[Table, ...] = ()
    tags: tuple[FuncType, ...] = ()
    globals: tuple[int | None, ...] = ()
    start: int | None = None
    custom_sections: tuple[str, ...] = ()
    producers: Producers = field(default_factory=Producers)

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
            raise NotAModule(_in_envoys_words(problem, view))
        try:
            found = list(sections.sections(view))
            sections.check_order(found)
            parts = _Parts()
            for section in sections.kept(found, view):
                if section.id in _READERS:
                    _read_section(parts, section, view)
            exports = parts.resolved_exports()
        except Malformed as error:
            raise NotAModule(_problem(error, view)) from None
        return Module(
            size=size,
            sha256=sha256 or hashlib.sha256(view).hexdigest(),
            types=parts.types,
            imports=parts.imports,
            exports=exports,
            memories=tuple(parts.memories),
            tables=tuple(parts.tables),
            tags=tuple(parts.tags),
            globals=tuple(parts.globals),
            start=parts.start,
            custom_sections=tuple(parts.custom),
            producers=parts.producers or Producers(),
        )


def beyond_limits(says: str) -> Problem:
    """What is said of a module that is too much to look into."""
    return Problem(
        "wasm-beyond-limits",
        f"the module is larger than this check looks into: {says[:100]}.",
        "Strip it, or split it into several plugins.",
    )


def _in_envoys_words(problem: Problem, view: memoryview) -> Problem:
    """A problem of the header that ends with what Envoy says of it."""
    before, envoy, _ = problem.message.rpartition("Envoy: ")
    return replace(problem, message=f"{before}{glance.words(view)}.") if envoy else problem


def _problem(error: Malformed, view: memoryview) -> Problem:
    if isinstance(error, BeyondLimit):
        return beyond_limits(str(error))
    return Problem(
        "wasm-malformed",
        f"{glance.words(view)}: {str(error)[:100]}.",
        "Build it again and push the file as the linker wrote it.",
    )


class _Parts:
    """What has been read so far; a function's type is resolved when all of it is known."""

    def __init__(self) -> None:
        self.types: tuple[FuncType | None, ...] = ()
        self.imports: tuple[Import, ...] = ()
        self.memories: list[Memory] = []
        self.tables: list[Table] = []
        self.tags: list[FuncType] = []
        self.global_types: list[str] = []
        self.globals: list[int | None] = []
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
        """The exports with their types; raises Malformed for one of what is not there."""
        imported = [needed.signature for needed in self.imports if needed.kind == "func"]
        own = [index - len(imported) for _, kind, index in self.exports if kind == "func"]
        types = self._types_of(max(own, default=-1))

        def resolved(name: str, kind: Kind, index: int) -> Export:
            try:
                if kind == "func":
                    own = index - len(imported)
                    signature = imported[index] if own < 0 else self.type(types[own])
                    return Export(name, kind, index, signature)
                if kind == "tag":
                    return Export(name, kind, index, self.tags[index])
                if kind == "global":
                    return Export(name, kind, index, type=self.global_types[index])
                if kind == "table":
                    return Export(name, kind, index, type=self.tables[index].element)
                self.memories[index]
                return Export(name, kind, index)
            except IndexError:
                raise Malformed(f"an export names {kind} {index}, which it does not have") from None

        return tuple(resolved(name, kind, index) for name, kind, index in self.exports)

    def _types_of(self, last: int) -> bytes | list[int]:
        """The type indices of the module's own functions, up to the last that is asked for."""
        if last >= self.functions:
            raise Malformed(f"an export names function {last}, of {self.functions} that it defines")
        if self.function_types.isascii():  # indices of one byte each, as in most modules
            return self.function_types
        reader = Reader(self.function_types)
        return [reader.unsigned() for _ in range(last + 1)]


def _read_section(parts: _Parts, section: Section, view: memoryview) -> None:
    if section.id == sections.CUSTOM:
        end = min(section.end, section.start + _MAX_CUSTOM_READ)
        _custom(parts, Reader(bytes(view[section.start : end]), section.start))
        return
    if len(section) > MAX_SECTION:
        raise BeyondLimit(f"the {section.name} section has {len(section)} bytes; {MAX_SECTION} is the limit")
    reader = Reader(bytes(view[section.start : section.end]), section.start)
    _READERS[section.id](parts, reader)
    if not reader.at_end():
        raise Malformed(f"the {section.name} section holds bytes after its last entry")


def _types(parts: _Parts, reader: Reader) -> None:
    parts.types = read_types(reader)


def _imports(parts: _Parts, reader: Reader) -> None:
    found: list[Import] = []
    for _ in range(reader.count("imports", MAX_IMPORTS)):
        module, name, kind = reader.name(), reader.name(), _kind(reader)
        signature, value = None, ""
        if kind == "func":
            signature = parts.type(reader.unsigned())
        elif kind == "table":
            parts.tables.append(table(reader, imported=True))
            value = parts.tables[-1].element
        elif kind == "memory":
            parts.memories.append(memory(reader, imported=True))
        elif kind == "global":
            value = global_type(reader)
            parts.global_types.append(value)
            parts.globals.append(None)
        else:
            signature = _tag(parts, reader)
            parts.tags.append(signature)
        found.append(Import(module, name, kind, signature, value))
    parts.imports = tuple(found)


def _functions(parts: _Parts, reader: Reader) -> None:
    parts.functions = reader.count("functions", MAX_FUNCTIONS)
    parts.function_types = reader.rest
    # A LEB128 number ends with its first byte below 0x80: as many of these as there are functions.
    if len(parts.function_types.translate(None, _HIGH)) != parts.functions:
        raise Malformed(f"the function section does not hold {parts.functions} type indices")
    reader.pos += len(parts.function_types)


def _memories(parts: _Parts, reader: Reader) -> None:
    parts.memories += [memory(reader) for _ in range(reader.count("memories", MAX_MEMORIES))]


def _tables(parts: _Parts, reader: Reader) -> None:
    for _ in range(reader.count("tables", MAX_TABLES)):
        initialized = reader.peek() == _WITH_INITIALIZER
        if initialized:
            reader.skip(2)
        parts.tables.append(table(reader))
        if initialized:
            constant(reader, parts.globals)


def _tags(parts: _Parts, reader: Reader) -> None:
    parts.tags += [_tag(parts, reader) for _ in range(reader.count("tags", MAX_IMPORTS))]


def _tag(parts: _Parts, reader: Reader) -> FuncType:
    if reader.unsigned() != 0:
        raise Malformed("a tag of an unknown kind")
    return parts.type(reader.unsigned())


def _globals(parts: _Parts, reader: Reader) -> None:
    for _ in range(reader.count("globals", MAX_GLOBALS)):
        parts.global_types.append(global_type(reader))
        parts.globals.append(constant(reader, parts.globals))


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
    sections.CUSTOM: _custom,
    sections.TYPE: _types,
    sections.IMPORT: _imports,
    sections.FUNCTION: _functions,
    sections.TABLE: _tables,
    sections.MEMORY: _memories,
    sections.TAG: _tags,
    sections.GLOBAL: _globals,
    sections.EXPORT: _exports,
    sections.START: _start,
}
