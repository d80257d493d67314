"""Modules that differ in the entries of one section, and in how many of them there are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.registry.wasm import binary
from tests.registry.wasm.binary import ALLOC, HEADER, VOID, custom, leb, name, section, vec
from tests.registry.wasm.table.frame import (
    BODIES,
    CODE,
    EXPORTED,
    EXPORTS,
    GLOBAL,
    assembled,
)


def modules() -> Iterator[tuple[str, bytes]]:
    """Every module of this part of the table with its name."""
    yield from _entries()
    yield from _bodies()
    yield from _sizes()


def _entries() -> Iterator[tuple[str, bytes]]:
    for what, entry in {
        "form 0x40": b"\x40\0\0",
        "form 0x61": b"\x61\0\0",
        "a padded form": b"\xe0\x7f\0\0",
        "a padded value type": b"\x60\x01\xff\x7f\0",
        "no value type": b"\x60\x01\x40\0",
        "packed in a function": b"\x60\x01\x78\0",
        "cut": b"\x60\x05\x7f",
        "a heap type of no type": b"\x60\x01\x63\x50\0",
        "a reference to a type to come": b"\x60\x01\x64\x07\0",
        "a reference to itself": b"\x60\x01\x63\x02\0",
        "an empty group": b"\x4e\x00",
        "two supertypes": b"\x50\x02\x00\x00\x60\0\0",
        "a supertype to come": b"\x50\x01\x09\x60\0\0",
        "an array of mutability 2": b"\x5e\x7f\x02",
        "a shared function": b"\x65\x60\0\0",
        "a descriptor": b"\x4d\x00\x5f\0",
    }.items():
        yield f"type: {what}", assembled(type=binary.types(VOID, ALLOC, entry))
    padded = assembled(type=binary.types(VOID, ALLOC, b"\x60\x01\x63\xf0\x7f\0"))
    yield "stricter: type: a padded heap type", padded
    yield "function of no type", assembled(function=binary.functions(0, 9))
    yield "function: one less than bodies", assembled(function=binary.functions(0))
    yield "function: one more than bodies", assembled(function=binary.functions(0, 1, 0))
    for flags in range(10):
        limits = bytes((flags, 1, 2)) if flags & 1 else bytes((flags, 1))
        yield f"memory: flags {flags}", assembled(memory=section(5, b"\x01" + limits))
        yield f"table: flags {flags}", assembled(table=section(4, b"\x01\x70" + limits))
    yield "memory: padded flags", assembled(memory=section(5, b"\x01\x80\x00\x01"))
    yield "memory: a padded minimum", assembled(memory=section(5, b"\x01\x00\x81\x80\x80\x80\x00"))
    yield "memory: an over-long minimum", assembled(memory=section(5, b"\x01\x00\x81\x80\x80\x80\x80\x00"))
    yield "table: padded flags", assembled(table=section(4, b"\x01\x70\x80\x00\x01"))
    for kind in (0x6F, 0x7F, 0x40, 0x69, 0x6E, 0x7B):
        yield f"table: of 0x{kind:02x}", assembled(table=section(4, bytes((1, kind, 0, 1))), element=b"")
    initial = b"\x01\x40\x00\x70\x00\x01\xd0\x70\x0b"
    yield "table: with an initial value", assembled(table=section(4, initial))
    yield (
        "table: with an initial value of another type",
        assembled(table=section(4, initial[:-3] + b"\x41\0\x0b")),
    )
    for what, entry in {
        "mutability 2": b"\x7f\x02\x41\0\x0b",
        "a padded mutability": b"\x7f\x80\x00\x41\0\x0b",
        "no end": b"\x7f\0\x41\0",
        "no value": b"\x7f\0\x0b",
        "two values": b"\x7f\0\x41\0\x41\0\x0b",
        "a call": b"\x7f\0\x10\x01\x0b",
        "no type": b"\x40\0\x41\0\x0b",
        "a nop": b"\x7f\0\x01\x41\0\x0b",
    }.items():
        yield f"global: {what}", assembled(**{"global": section(6, b"\x01" + entry)})
    for kind in (5, 6, 255):
        strange = [
            name("proxy_abi_version_0_2_1") + b"\0\0",
            name("malloc") + b"\0\1",
            name("x") + bytes((kind, 0)),
        ]
        yield f"export: of kind {kind}", assembled(export=section(7, vec(strange)))
    for title, kind in (("function", 0), ("table", 1), ("memory", 2), ("global", 3), ("tag", 4)):
        yield f"export: no such {title}", assembled(export=binary.exports(*EXPORTED, ("x", kind, 9)))
    yield (
        "export: a padded index",
        assembled(export=section(7, vec([name(t) + bytes((k, i | 0x80, 0x80, 0)) for t, k, i in EXPORTED]))),
    )
    yield (
        "export: an over-long index",
        assembled(
            export=section(
                7, vec([name(t) + bytes((k, i | 0x80, 0x80, 0x80, 0x80, 0x80, 0)) for t, k, i in EXPORTED])
            )
        ),
    )
    yield "export: fewer announced", assembled(export=section(7, b"\x01" + EXPORTS[3:]))
    yield "export: many announced", assembled(export=section(7, b"\xff\xff\xff\xff\x0f" + EXPORTS[3:]))
    yield "export: a name runs over", assembled(export=section(7, b"\x01\x7fproxy_abi_version_0_2_1\0\0"))
    for what, entry in {
        "of flags 1": b"\x01\x00\x01\x00",
        "of flags 2": b"\x02\x00\x41\0\x0b\x00\x01\x00",
        "of flags 3": b"\x03\x00\x01\x00",
        "of flags 4": b"\x04\x41\0\x0b\x01\xd2\x00\x0b",
        "of flags 5": b"\x05\x70\x01\xd2\x00\x0b",
        "of flags 6": b"\x06\x00\x41\0\x0b\x70\x01\xd2\x00\x0b",
        "of flags 7": b"\x07\x70\x01\xd0\x70\x0b",
        "of flags 8": b"\x08\x00\x01\x00",
        "of padded flags": b"\x81\x80\x00\x00\x01\x00",
        "of a padded kind": b"\x01\x80\x00\x01\x00",
        "of another kind": b"\x01\x01\x01\x00",
        "of no function": b"\x00\x41\0\x0b\x01\x09",
        "of no table": b"\x02\x05\x41\0\x0b\x00\x01\x00",
        "with too many": b"\x00\x41\0\x0b\x09\x00",
    }.items():
        yield f"element: {what}", assembled(element=section(9, b"\x01" + entry))
    for what, entry in {
        "of flags 1": b"\x01\x01x",
        "of flags 2": b"\x02\x00\x41\0\x0b\x01x",
        "of flags 3": b"\x03\x01x",
        "of padded flags": b"\x81\x80\x00\x01x",
        "of no memory": b"\x02\x01\x41\0\x0b\x01x",
        "that runs over": b"\x00\x41\0\x0b\x7fx",
        "at an offset without end": b"\x00\x41\0\x01x",
    }.items():
        yield f"data: {what}", assembled(data=section(11, b"\x01" + entry))
    for what, entry in {
        "kind 1": b"\x01\x00",
        "a padded type": b"\x00\x80\x00",
        "type of no function": b"\x00\x09",
        "type with a result": b"\0\1",
    }.items():
        yield f"tag: {what}", assembled(tag=section(13, b"\x01" + entry))
    yield "stricter: tag: a padded kind", assembled(tag=section(13, b"\x01\x80\x80\x00\x00"))


def _bodies() -> Iterator[tuple[str, bytes]]:
    for what, body in {
        "of size 0": b"\0",
        "of an end alone": b"\x01\x0b",
        "longer than the section": b"\x7f\x00\x0b",
        "without an end": b"\x02\x00\x01",
        "with a byte after its end": b"\x03\x00\x0b\x01",
        "of a padded size": b"\x82\x80\x00\x00\x0b",
    }.items():
        yield f"code: a body {what}", assembled(code=section(10, vec([body, BODIES[1]])))
    yield "code: two bodies without functions", HEADER + EXPORTS + CODE
    yield "code: none announced", assembled(code=section(10, b"\0" + b"".join(BODIES)))
    yield (
        "code: malloc answers a long",
        assembled(code=section(10, vec([BODIES[0], b"\x04\x00\x42\x00\x0b"]))),
    )


def _sizes() -> Iterator[tuple[str, bytes]]:
    for count in (7_654_321, 7_654_322):
        body = b"\0" + b"\x01" * (count - 2) + b"\x0b"
        yield (
            f"limit a body of {count} bytes",
            assembled(code=section(10, vec([leb(count) + body, BODIES[1]]))),
        )
    for count in (100_000, 100_001):
        yield (
            f"limit {count} data segments",
            assembled(data_count=section(12, leb(count)), data=section(11, vec([b"\x01\x00"] * count))),
        )
    for which, count in (("limit", 100), ("beyond:", 101), ("beyond:", 100_000), ("limit", 100_001)):
        tables = section(4, vec([b"\x70\0\0"] * count))
        yield f"{which} {count} tables", assembled(table=tables, element=b"")
    for count in (1_000_001,):
        yield f"limit {count} functions", assembled(function=section(3, leb(count) + bytes(count)))
        yield f"limit {count} types", assembled(type=section(1, leb(count) + VOID * count))
        yield f"limit {count} globals", assembled(**{"global": section(6, vec([GLOBAL[3:]] * count))})
        yield f"limit {count} tags", assembled(tag=section(13, vec([b"\0\0"] * count)))
    many = [*EXPORTED, *((f"f{at}", 0, 0) for at in range(50_000))]
    yield "beyond: 50003 exports", assembled(export=binary.exports(*many))
    yield "beyond: 20002 types", assembled(type=binary.types(VOID, ALLOC, *[VOID] * 20_000))
    yield "beyond: 10012 sections", assembled(start=custom("x") * 10_000)
    yield "limit a long custom section", assembled() + custom("x", bytes(3_000_000))
    text = b"x" * 2_000_000
    long = section(11, vec([b"\0\x41\0\x0b" + name(text)]))
    yield "limit a long data segment", assembled(memory=section(5, b"\1\0\x64"), data=long)
