"""Modules made by hand: sections and sections' contents as bytes."""

from __future__ import annotations

from collections.abc import Iterable

HEADER = b"\0asm\x01\0\0\0"
VOID = b"\x60\0\0"
ALLOC = b"\x60\x01\x7f\x01\x7f"


def leb(number: int) -> bytes:
    """An unsigned LEB128."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def name(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return leb(len(raw)) + raw


def vec(entries: Iterable[bytes]) -> bytes:
    listed = list(entries)
    return leb(len(listed)) + b"".join(listed)


def section(number: int, content: bytes) -> bytes:
    return bytes((number,)) + leb(len(content)) + content


def custom(title: str | bytes, content: bytes = b"") -> bytes:
    return section(0, name(title) + content)


def module(*sections: bytes) -> bytes:
    return HEADER + b"".join(sections)


def types(*entries: bytes) -> bytes:
    return section(1, vec(entries))


def imports(*entries: bytes) -> bytes:
    return section(2, vec(entries))


def functions(*type_indices: int) -> bytes:
    return section(3, vec(leb(index) for index in type_indices))


def exports(*entries: tuple[str, int, int]) -> bytes:
    return section(7, vec(name(title) + bytes((kind,)) + leb(index) for title, kind, index in entries))


def code(count: int) -> bytes:
    return section(10, vec([b"\x02\x00\x0b"] * count))


def producers(**fields: list[tuple[str, str]]) -> bytes:
    return custom(
        "producers",
        vec(
            name(field.replace("_", "-")) + vec(name(who) + name(version) for who, version in values)
            for field, values in fields.items()
        ),
    )


def function(module_name: str, title: str, type_index: int = 0) -> bytes:
    """An imported function."""
    return name(module_name) + name(title) + b"\0" + leb(type_index)


def plugin(
    *, imported: Iterable[bytes] = (), extra: Iterable[tuple[str, int, int]] = (), tail: bytes = b""
) -> bytes:
    """A module that the first gate accepts: an ABI version and malloc, with what is asked for added."""
    needed = list(imported)
    count = sum(1 for entry in needed if entry.endswith((b"\0\0", b"\0\x01")))
    return module(
        types(VOID, ALLOC),
        imports(*needed),
        functions(0, 1),
        exports(("proxy_abi_version_0_2_1", 0, count), ("malloc", 0, count + 1), *extra),
        section(10, vec([b"\x02\x00\x0b", b"\x04\x00\x41\x00\x0b"])),
        tail,
    )


def code_of_bodies(*bodies: bytes) -> bytes:
    """A code section of bodies that begin with their locals."""
    return section(10, vec(leb(len(body)) + body for body in bodies))
