from __future__ import annotations

import pytest

from registry.wasm.module import NotAModule, read
from registry.wasm.reader import Malformed, Reader
from registry.wasm.types import (
    FuncType,
    Memory,
    Table,
    heap_type_code,
    memory,
    printable,
    read_types,
    table,
    value_type,
)
from tests.registry.wasm.binary import leb, module, name, section, types, vec


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([b"\x60\0\0"], (FuncType(),), id="nothing to nothing"),
        pytest.param(
            [b"\x60\x02\x7f\x7e\x02\x7d\x7c"], (FuncType(("i32", "i64"), ("f32", "f64")),), id="numbers"
        ),
        pytest.param([b"\x60\x03\x7b\x70\x6f\0"], (FuncType(("v128", "funcref", "externref")),), id="refs"),
        pytest.param(
            [b"\x60\x03\x63\x00\x64\x70\x63\x6b\0"],
            (FuncType(("(ref null 0)", "(ref func)", "(ref null struct)")),),
            id="typed refs",
        ),
        pytest.param([b"\x5f\x02\x78\x00\x7f\x01"], (None,), id="struct"),
        pytest.param([b"\x5e\x77\x01"], (None,), id="array"),
        pytest.param([b"\x50\x00\x60\0\0"], (FuncType(),), id="sub without super"),
        pytest.param([b"\x4f\x01\x00\x60\0\0"], (FuncType(),), id="final sub"),
        pytest.param([b"\x4e\x02\x60\0\0\x5f\x00", b"\x60\0\0"], (FuncType(), None, FuncType()), id="group"),
    ],
)
def test_read_types(entries: list[bytes], expected: tuple[FuncType | None, ...]) -> None:
    assert read_types(Reader(vec(entries))) == expected


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(vec([b"\x61\0\0"]), "begins no type", id="unknown form"),
        pytest.param(vec([b"\x60\x01\x20\0"]), "no value type", id="unknown value"),
        pytest.param(vec([b"\x60\x01\x63\x41\0"]), "no heap type", id="unknown heap type"),
        pytest.param(vec([b"\x60" + leb(1001) + b"\x7f" * 1001 + b"\0"]), "limit", id="1001 parameters"),
        pytest.param(leb(20_001) + b"\x60\0\0" * 20_001, "limit", id="too many"),
        pytest.param(
            vec([b"\x4e" + leb(20_000) + b"\x60\0\0" * 20_000] * 2),
            "more than 20000",
            id="too many in groups",
        ),
        pytest.param(vec([b"\x5f\x01\x7f\x02"]), "neither constant", id="field mutability"),
    ],
)
def test_read_types_refuses(data: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read_types(Reader(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00\x01", Memory(1)),
        (b"\x01\x01\x10", Memory(1, 16)),
        (b"\x03\x01\x02", Memory(1, 2, shared=True)),
        (b"\x04" + leb(2**33), Memory(2**33, is64=True)),
    ],
)
def test_memory(data: bytes, expected: Memory) -> None:
    assert memory(Reader(data)) == expected


def test_memory_with_unknown_flags() -> None:
    with pytest.raises(Malformed, match="unknown flags"):
        memory(Reader(b"\x08\x01\x10"))


def test_value_type_names() -> None:
    assert str(FuncType((value_type(Reader(b"\x7f")),), ())) == "(i32) -> void"
    assert str(FuncType((), ("i32",))) == "() -> i32"


def test_a_function_of_a_struct_type_is_refused() -> None:
    data = module(types(b"\x5f\x00"), section(2, vec([name("env") + name("f") + b"\0\0"])))
    with pytest.raises(NotAModule, match="type 0 is no function's"):
        read(data)


def test_equal_signatures_share_one_value() -> None:
    first, second = read_types(Reader(vec([b"\x60\x02\x7f\x7e\0"] * 2)))
    assert first is second


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x70\x00\x01", Table("funcref", 1)),
        (b"\x6f\x01\x01\x02", Table("externref", 1, 2)),
        (b"\x64\x70\x04\x05", Table("(ref func)", 5, is64=True)),
    ],
)
def test_table(data: bytes, expected: Table) -> None:
    assert table(Reader(data)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("void -> void", FuncType()),
        ("i32 i64 -> i32", FuncType(("i32", "i64"), ("i32",))),
        ("void -> f64", FuncType((), ("f64",))),
    ],
)
def test_spelled_as_envoy_prints(text: str, expected: FuncType) -> None:
    assert FuncType.spelled(text) == expected
    assert expected.as_printed() == text


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("i32", "i32"),
        ("funcref", "funcref"),
        ("(ref func)", "funcref"),
        ("(ref null extern)", "externref"),
        ("v128", None),
        ("anyref", None),
        ("exnref", None),
        ("(ref 0)", None),
    ],
)
def test_what_v8_has_a_name_for(value: str, name: str | None) -> None:
    assert printable(value) == name


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("funcref", b"\x70"),
        ("nullref", b"\x71"),
        ("(ref null extern)", b"\x6f"),
        ("(ref struct)", b"\x6b"),
        ("(ref null)", b"\x71"),
        ("(ref null 5)", b"\x05"),
        ("(ref 100)", b"\xe4\x00"),
    ],
)
def test_heap_types_are_written_as_they_are_read(value: str, code: bytes) -> None:
    assert heap_type_code(value) == code
    assert value_type(Reader(b"\x64" + code)).removeprefix("(ref ") in f"{value.removesuffix('ref')}) {value}"
