"""Modules that differ in their bytes: headers, the order and size of sections, names, custom sections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.registry.wasm import binary
from tests.registry.wasm.binary import HEADER, custom, leb, name, section, vec
from tests.registry.wasm.plugins import plugin
from tests.registry.wasm.table.frame import (
    CODE,
    DATA,
    DATA_COUNT,
    EXPORTED,
    EXPORTS,
    FUNCTIONS,
    MEMORY,
    PARTS,
    START,
    TYPES,
    assembled,
)


def modules() -> Iterator[tuple[str, bytes]]:
    """Every module of this part of the table with its name."""
    yield from _headers()
    yield from _order()
    yield from _sections()
    yield from _names()
    yield from _name_section()


def _headers() -> Iterator[tuple[str, bytes]]:
    whole = assembled()
    yield "bytes: a whole module", whole
    yield "bytes: the header alone", HEADER
    yield "bytes: seven", HEADER[:7]
    yield "bytes: the magic alone", HEADER[:4]
    yield "bytes: text", b"(module)"
    yield "bytes: gzip", b"\x1f\x8b\x08\x00" + bytes(20)
    yield "bytes: zeros", bytes(100)
    yield "bytes: the magic in capitals", b"\0ASM" + whole[4:]
    for version in (b"\0\0\0\0", b"\2\0\0\0", b"\1\0\1\0", b"\x0d\0\0\0", b"\x0d\0\1\0", b"\x0a\0\1\0"):
        yield f"version {version.hex()}", HEADER[:4] + version + whole[8:]
        yield f"version {version.hex()} of nothing", HEADER[:4] + version
    for at in range(9, len(whole), 11):
        yield f"cut at {at}", whole[:at]
    for tail in (
        b"\0",
        b"\0\0",
        b"\x0e",
        b"\x0e\0",
        b"\x00\x01",
        b"\xff\x00",
        b"x",
        bytes(8),
        HEADER,
        b"\x0b\x00",
    ):
        yield f"tail of {tail.hex()}", whole + tail


def _order() -> Iterator[tuple[str, bytes]]:
    titles = list(PARTS)
    for first, second in pairwise(titles):
        swapped = {first: PARTS[second], second: PARTS[first]}
        yield f"order: {second} before {first}", HEADER + b"".join((PARTS | swapped).values())
    for title in titles:
        twice = {title: PARTS[title] * 2}
        yield f"order: {title} twice", HEADER + b"".join((PARTS | twice).values())
        without = b"".join(content for other, content in PARTS.items() if other != title)
        yield f"order: no {title}", HEADER + without
    yield "order: export first", HEADER + EXPORTS + TYPES + FUNCTIONS + MEMORY + CODE
    yield "order: data count last", assembled(data_count=b"", data=DATA + DATA_COUNT)
    yield (
        "order: custom everywhere",
        HEADER + b"".join(custom(t) + part for t, part in PARTS.items()) + custom("x"),
    )
    other = binary.exports(("other", 0, 0))
    yield "order: the second exports are known", HEADER + TYPES + FUNCTIONS + other + EXPORTS + CODE
    no_abi = binary.exports(("malloc", 0, 1), ("memory", 2, 0))
    yield "order: a later section is cut, no abi", HEADER + TYPES + FUNCTIONS + MEMORY + no_abi + CODE[:-3]
    yield "order: a later section is cut", HEADER + TYPES + FUNCTIONS + MEMORY + EXPORTS + CODE[:-3]
    yield "order: no abi and a wrong body", plugin("(func (result i32))", abi="")
    yield "order: no abi and a tag", plugin(abi="", imports='(import "env" "t" (tag))')
    yield "order: a wrong body and a tag", plugin("(func (result i32))", imports='(import "env" "t" (tag))')
    yield (
        "order: a wrong body, an import, no malloc",
        plugin("(func (result i32))", imports='(import "env" "no" (func))', malloc=""),
    )
    yield "order: an import, no malloc", plugin(imports='(import "env" "no" (func))', malloc="")
    yield (
        "order: too much memory and an import",
        plugin(imports='(import "env" "no" (func))', memory='(memory (export "memory") 20000)'),
    )
    yield "order: too much memory and no malloc", plugin(malloc="", memory='(memory (export "memory") 20000)')


def _sections() -> Iterator[tuple[str, bytes]]:
    def sized(size: bytes, content: bytes = EXPORTS[2:]) -> bytes:
        return assembled(export=b"\x07" + size + content)

    size = len(EXPORTS) - 2
    assert size < 0x80
    yield "size padded to two bytes", sized(bytes((size | 0x80, 0)))
    yield "size padded to five bytes", sized(bytes((size | 0x80, 0x80, 0x80, 0x80, 0)))
    yield "size padded to six bytes", sized(bytes((size | 0x80, 0x80, 0x80, 0x80, 0x80, 0)))
    yield "size over 32 bits", sized(bytes((size | 0x80, 0x80, 0x80, 0x80, 0x10)))
    yield "size with unused bits", sized(bytes((size | 0x80, 0x80, 0x80, 0x80, 0x70)))
    yield "size of 4 GiB", sized(b"\xff\xff\xff\xff\x0f")
    yield "size one too small", sized(bytes((size - 1,)))
    yield "size one too large", sized(bytes((size + 1,)))
    yield "size of zero", sized(b"\0", b"")
    for title in (
        "type",
        "function",
        "table",
        "memory",
        "tag",
        "global",
        "export",
        "element",
        "code",
        "data",
    ):
        head, content = PARTS[title][:1], PARTS[title][2:]
        yield f"empty {title} section", assembled(**{title: head + b"\0"})
        yield f"no entries in the {title} section", assembled(**{title: head + b"\1\0"})
        longer = head + leb(len(content) + 1) + content + b"\0"
        yield f"a byte after the last of the {title} section", assembled(**{title: longer})
        more = head + leb(len(content)) + bytes((content[0] + 1,)) + content[1:]
        yield f"one more announced in the {title} section", assembled(**{title: more})
    yield "no ABI, and the last export goes on in the next section", assembled(export=section(7, b"\1\1x\0"))
    yield (
        "no ABI, and one more export after the section's end",
        assembled(export=section(7, b"\2\1x\0")),
    )
    yield "no ABI, and an index over 30 bits", assembled(export=section(7, b"\1\1x\0\xff\xff\xff\xff\7"))
    yield "an empty custom section after the names", assembled(start=custom("name") + section(0, b""))
    for number in (14, 15, 64, 127, 128, 255):
        yield f"section {number}", assembled(start=section(number, b"") + START)
    yield "start with a byte more", assembled(start=section(8, b"\0\0"))
    yield "start padded", assembled(start=section(8, b"\x80\x80\x80\x80\0"))
    yield "start of a function that is not there", assembled(start=section(8, b"\x07"))
    yield "start of malloc", assembled(start=section(8, b"\x01"))
    for count in (0, 2, 2**32 - 1):
        yield f"data count of {count}", assembled(data_count=section(12, leb(count)))
    yield "data count without data", assembled(data=b"")
    yield "data count of none without data", assembled(data_count=section(12, b"\0"), data=b"")
    yield "data count padded", assembled(data_count=section(12, b"\x81\x80\0"))
    yield "data count empty", assembled(data_count=section(12, b""))
    yield "custom without a name", assembled(start=section(0, b""))
    yield "custom of an empty name", assembled(start=custom(""))
    yield "custom whose name is cut", assembled(start=section(0, b"\x05ab"))
    yield "custom whose name is very long", assembled(start=section(0, b"\xff\xff\xff\xff\x0fab"))
    yield "custom whose name is padded", assembled(start=section(0, b"\x82\x80\x80\x80\x00ab"))
    for title in ("producers", "linking", "dylink.0", "reloc.CODE", "target_features", "sourceMappingURL",
                  "compilationHints", "metadata.code.branch_hint", "metadata.code.trace_inst",
                  "external_debug_info", ".debug_info", "build_id", "precompiled_x"):  # fmt: skip
        yield f"custom {title} of garbage", assembled(start=custom(title, b"\xff\xff\xff\xff\xff\x01\x02"))
        yield f"custom {title} at the end", assembled() + custom(title, b"\x7f")
    yield (
        "custom of no UTF-8 after a precompiled one",
        assembled(start=custom("precompiled_x") + custom(b"\xff")),
    )
    yield (
        "custom of no UTF-8 before a precompiled one",
        assembled(start=custom(b"\xff") + custom("precompiled_x")),
    )
    yield (
        "custom precompiled in its name",
        assembled(start=custom("a precompiled_ one", b"\xff")) + custom(b"\xff"),
    )
    yield "custom precompiled cut at the end", assembled() + section(0, b"\x20precompiled_")


def _names() -> Iterator[tuple[str, bytes]]:
    for what, raw in {
        "a lone byte": b"\xff",
        "an over-long form": b"\xc0\x80",
        "a surrogate": b"\xed\xa0\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "a cut sequence": b"\xe2\x82",
        "a NUL": b"a\0b",
        "a noncharacter": b"\xef\xbf\xbf",
        "emoji": "🎉".encode(),
        "nothing": b"",
    }.items():
        listed = [name(t) + bytes((k,)) + leb(i) for t, k, i in EXPORTED]
        bad = name(raw) + b"\0\0"
        yield f"export name of {what}", assembled(export=section(7, vec([*listed, bad])))
        yield f"export name of {what}, before the abi", assembled(export=section(7, vec([bad, *listed])))
        yield f"custom name of {what}", assembled(start=custom(raw))
        needs = section(2, vec([name(raw) + name("f") + b"\0\0"]))
        yield f"import module of {what}", assembled(type=TYPES + needs)
        needs = section(2, vec([name("env") + name(raw) + b"\0\0"]))
        yield f"import name of {what}", assembled(type=TYPES + needs)

    for what, entry in {
        "a padded kind": b"\x80\x00\x00",
        "a tag": b"\x04\x00\x00",
        "kind 5": b"\x05\x00",
        "a global of mutability 2": b"\x03\x7f\x02",
        "a table of no type": b"\x01\x40\x00\x01",
    }.items():
        needs = section(2, vec([name("env") + name("f") + entry]))
        yield f"import of {what}", assembled(type=TYPES + needs)
    hidden = custom("precompiled_x") + section(0, b"\x7fcut")
    yield "a custom section cut short, which V8 does not get to see", assembled(start=hidden)
    needs = section(2, vec([name("env") + name("f") + b"\x04\x80\x00\x00"]))
    yield "stricter: import of a tag of a padded kind", assembled(type=TYPES + needs)


def _name_section() -> Iterator[tuple[str, bytes]]:
    def names(content: bytes) -> bytes:
        return assembled() + custom("name", content)

    def sub(number: int, content: bytes) -> bytes:
        return bytes((number,)) + leb(len(content)) + content

    good = sub(1, vec([b"\0" + name("zero"), b"\1" + name("one")]))
    yield "name section", names(sub(0, name("m")) + good)
    yield "name section empty", names(b"")
    yield "name section of garbage", names(b"\xff\xff\xff\xff\xff\xff")
    yield "name section in the wrong order", names(good + sub(0, name("m")))
    yield "name section with functions twice", names(good + good)
    yield "name section, a subsection cut", names(good[:-2])
    yield "name section, a number alone", names(good + b"\1")
    yield "name section, a count too large", names(sub(1, b"\x03" + good[3:]))
    yield "name section, a count very large", names(sub(1, b"\xff\xff\xff\xff\x0f"))
    yield "name section, a count too small", names(sub(1, b"\x01" + good[3:]))
    yield "name section, a name cut", names(sub(1, b"\x01\x00\x0fab"))
    yield "name section, a name over its subsection", names(b"\x01\x04\x01\x00\x05abcde")
    yield "name section, an index over-long", names(sub(1, b"\x01\x80\x80\x80\x80\x80\0" + name("a")))
    yield "name section, an index of no function", names(sub(1, b"\x01\x7f" + name("a")))
    yield "name section, an empty subsection", names(b"\x01\x00")
    yield "name section, a name of no UTF-8", names(sub(1, b"\x01\0" + name(b"\xff")))
    yield "name section, garbage in locals", names(sub(2, b"\xff\xff\xff\xff\xff\xff"))
    yield "name section, garbage in an unknown part", names(sub(77, b"\xff\xff"))
    yield "name section, an unknown part cut", names(b"\x4d\x05a")
    yield "name section, a second one of garbage", names(good) + custom("name", b"\xff")
    yield (
        "name section, a first one of garbage",
        assembled(start=custom("name", b"\xff")) + custom("name", good),
    )
    yield (
        "name section, an empty one before garbage",
        assembled(start=custom("name")) + custom("name", b"\xff"),
    )
    padded = section(0, b"\x84\x80\x00name\xff")
    yield "name section of garbage, its title's length padded", assembled(start=padded)
    over = sub(1, b"\x01\xff\xff\xff\xff\x07" + name("a"))
    yield "name section, an index over 30 bits", names(over)
    yield "name section at the beginning", HEADER + custom("name", b"\x01") + assembled()[8:]
    no_abi = assembled(export=binary.exports(("malloc", 0, 1)))
    yield "name section of garbage and no abi", no_abi + custom("name", b"\xff")
    mangled = sub(1, vec([b"\0" + name("_ZN3foo3barEv")]))
    yield "name section with a mangled name", names(mangled)
