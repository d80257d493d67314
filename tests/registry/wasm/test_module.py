from __future__ import annotations

import hashlib
import mmap
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from registry.wasm import module as under_test
from registry.wasm import sections
from registry.wasm.module import Export, Import, Module, NotAModule, read
from registry.wasm.producers import Producers
from registry.wasm.types import FuncType, Memory, Table
from tests.registry.wasm import binary
from tests.registry.wasm.binary import custom, leb, name, section, vec

EVERYTHING = """
(module
  (type $log (func (param i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (type $log)))
  (import "env" "table" (table 1 2 funcref))
  (import "env" "memory" (memory 1 16))
  (import "env" "stack" (global (mut i32)))
  (import "env" "thrown" (tag (param i64)))
  (memory 3)
  (func $start)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 0))
  (export "again" (func $log))
  (export "memory" (memory 0))
  (start $start))
"""


def test_everything_is_read() -> None:
    data = bytes(wat2wasm(EVERYTHING))
    found = read(data)
    log = FuncType(("i32", "i32", "i32"), ("i32",))
    assert found.size == len(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.imports == (
        Import("env", "proxy_log", "func", log),
        Import("env", "table", "table", type="funcref"),
        Import("env", "memory", "memory"),
        Import("env", "stack", "global", type="i32"),
        Import("env", "thrown", "tag", FuncType(("i64",))),
    )
    assert found.exports == (
        Export("proxy_abi_version_0_2_1", "func", 2, FuncType()),
        Export("malloc", "func", 3, FuncType(("i32",), ("i32",))),
        Export("again", "func", 0, log),
        Export("memory", "memory", 0),
    )
    assert found.memories == (Memory(1, 16, imported=True), Memory(3))
    assert found.tables == (Table("funcref", 1, 2, imported=True),)
    assert found.globals == (None,)
    assert found.tags == (FuncType(("i64",)),)
    assert found.start == 1
    assert "tag" in [needed.kind for needed in found.imports]
    assert found.function("malloc") == found.exports[1]
    assert found.function("memory") is None


def test_what_is_exported_has_its_type() -> None:
    data = wat2wasm(
        """(module
          (table (export "t") 1 externref)
          (table 2 funcref (ref.null func))
          (global i32 (i32.const 7))
          (global (export "g") v128 (v128.const i64x2 0 0))
          (global i64 (i64.add (i64.const 2) (i64.const 3)))
          (tag (export "e") (param f32)))"""
    )
    found = read(data)
    assert found.exports == (
        Export("t", "table", 0, type="externref"),
        Export("g", "global", 1, type="v128"),
        Export("e", "tag", 0, FuncType(("f32",))),
    )
    assert found.tables == (Table("externref", 1), Table("funcref", 2))
    assert found.globals == (7, None, 5)


@pytest.mark.parametrize("kind", range(5))
def test_an_export_of_what_is_not_there(kind: int) -> None:
    with pytest.raises(NotAModule, match="an export names"):
        read(binary.module(binary.exports(("x", kind, 0))))


def test_the_empty_module_and_a_known_hash() -> None:
    assert read(binary.HEADER, "given") == Module(size=8, sha256="given")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer(kind: type[bytes]) -> None:
    data = binary.plugin()
    assert read(kind(data)) == read(data)


def test_a_mapped_file_can_be_closed_afterwards(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.wasm", tmp_path / "bad.wasm"
    good.write_bytes(binary.plugin())
    bad.write_bytes(binary.plugin()[:-1])
    for path in (good, bad):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            try:
                assert read(mapped) == read(good.read_bytes())
            except NotAModule as error:
                assert path == bad  # the error is still held here: it must hold no part of the map
                assert error.problem.code == "wasm-malformed"


def test_signatures_where_type_indices_need_two_bytes() -> None:
    kinds = [b"\x60" + leb(count) + b"\x7f" * count + b"\0" for count in range(200)]
    data = binary.module(
        binary.types(*kinds),
        binary.functions(*range(200)),
        binary.exports(("few", 0, 3), ("many", 0, 199)),
        binary.code(200),
    )
    few, many = read(data).exports
    assert few.signature == FuncType(("i32",) * 3)
    assert many.signature == FuncType(("i32",) * 199)


def test_custom_sections_and_producers() -> None:
    data = binary.module(
        custom("go:buildid", b"abc"),
        binary.producers(
            language=[("Go", "go1.26")], processed_by=[("Go cmd/compile", "go1.26")], sdk=[("x", "1")]
        ),
        custom("x" * 110_000, b""),
    )
    found = read(data)
    assert found.custom_sections == ("go:buildid", "producers", "x" * 200)
    assert found.producers == Producers((("Go", "go1.26"),), (("Go cmd/compile", "go1.26"),), (("x", "1"),))


VOID = binary.types(binary.VOID)
MALFORMED = [
    pytest.param(section(1, b"\0")[:-1], "type section has 1 bytes", id="cut in a section"),
    pytest.param(b"\x0a\xff\xff\xff\x7f", "code section has 268435455 bytes", id="code lies about its size"),
    pytest.param(b"\x01\xff\xff\xff\xff\xff\x01", "runs on", id="length runs on"),
    pytest.param(b"\x01", "ends at byte 9", id="no length"),
    pytest.param(b"\x0e\x00", "begins no section", id="unknown section"),
    pytest.param(VOID + b"\xca\xfe", "bytes after the last section", id="trailing bytes"),
    pytest.param(VOID + bytes(2), "ends at byte", id="trailing zeros"),
    pytest.param(VOID + VOID, "repeated or out of order", id="section twice"),
    pytest.param(binary.functions() + VOID, "out of order", id="out of order"),
    pytest.param(section(1, vec([binary.VOID]) + b"\0"), "after its last entry", id="section too long"),
    pytest.param(section(1, leb(2**32 - 1)), "announces 4294967295 types", id="count allocates"),
    pytest.param(section(7, leb(2**32 - 1) + b"a"), "announces 4294967295 exports", id="exports allocate"),
    pytest.param(VOID + section(3, leb(2) + b"\0"), "announces 2 functions", id="functions missing"),
    pytest.param(VOID + section(3, leb(1) + b"\0\0"), "does not hold 1", id="functions left over"),
    pytest.param(VOID + section(3, leb(1) + b"\x80"), "does not hold 1", id="functions cut"),
    pytest.param(binary.exports(("f", 0, 0)), "function 0, of 0", id="export of no function"),
    pytest.param(VOID + binary.functions(7) + binary.exports(("f", 0, 0)), "type 7", id="type out of range"),
    pytest.param(binary.imports(binary.function("env", "f", 3)), "type 3", id="import type out of range"),
    pytest.param(section(2, vec([name("a") + name("b") + b"\x09"])), "no kind", id="unknown kind"),
    pytest.param(section(2, vec([name("a") + name("b") + b"\x04\x01\0"])), "tag", id="unknown tag"),
    pytest.param(section(2, vec([name("a") + name("b") + b"\x03\x7f\x07"])), "neither", id="global"),
    pytest.param(section(2, vec([name(b"\xff") + name("b") + b"\0\0"])), "not UTF-8", id="import name"),
    pytest.param(
        VOID + binary.functions(0) + binary.exports(("f", 0, 0), ("f", 0, 0)), "two exports", id="twice"
    ),
    pytest.param(custom(b"\xff"), "not UTF-8", id="custom section's name"),
]


@pytest.mark.parametrize(("tail", "says"), MALFORMED)
def test_malformed(tail: bytes, says: str) -> None:
    with pytest.raises(NotAModule, match=says) as caught:
        read(binary.HEADER + tail)
    assert caught.value.problem.code == "wasm-malformed"
    assert len(str(caught.value.problem)) <= 200


BEYOND = [
    pytest.param(b"".join([custom("x")] * 10_001), "more than 10000 sections", id="sections"),
    pytest.param(section(7, bytes((1 << 20) + 1)), "1048577 bytes; 1048576 is the limit", id="a section"),
    pytest.param(section(1, leb(20_001) + binary.VOID * 20_001), "20001 types; 20000 is", id="types"),
    pytest.param(section(2, leb(10_001) + bytes(30_000)), "10001 imports; 10000 is", id="imports"),
    pytest.param(section(7, leb(50_001) + bytes(60_000)), "50001 exports; 50000 is", id="exports"),
]


@pytest.mark.parametrize(("tail", "says"), BEYOND)
def test_beyond_the_limits(tail: bytes, says: str) -> None:
    with pytest.raises(NotAModule, match=says) as caught:
        read(binary.HEADER + tail)
    assert caught.value.problem.code == "wasm-beyond-limits"
    assert len(str(caught.value.problem)) <= 200


def test_as_many_sections_as_are_allowed() -> None:
    assert len(read(binary.HEADER + custom("x") * 10_000).custom_sections) == under_test.MAX_CUSTOM


@pytest.mark.parametrize("cut", range(8, len(binary.plugin()) - 1))
def test_cut_anywhere_is_found_or_ends_between_sections(cut: int) -> None:
    whole = binary.plugin()
    try:
        read(whole[:cut])
    except NotAModule as error:
        assert error.problem.code == "wasm-malformed"
    else:
        assert whole[cut] in sections.NAMES


@pytest.mark.parametrize(
    ("tail", "says"),
    [
        pytest.param(VOID[:-1], "Envoy: Failed to parse corrupted Wasm module: ", id="its own parser"),
        pytest.param(VOID + VOID, "Envoy: Missing or unknown Proxy-Wasm ABI version: ", id="no ABI"),
        pytest.param(
            VOID + VOID + binary.exports(("proxy_abi_version_0_2_1", 0, 0)),
            "Envoy: Failed to load Wasm bytecode: ",
            id="V8",
        ),
    ],
)
def test_the_words_are_envoys(tail: bytes, says: str) -> None:
    with pytest.raises(NotAModule) as caught:
        read(binary.HEADER + tail)
    assert caught.value.problem.message.startswith(says)


@settings(max_examples=400)
@given(st.data())
def test_noise_gives_a_module_or_a_problem(data: st.DataObject) -> None:
    raw = bytearray(wat2wasm(EVERYTHING)) if data.draw(st.booleans()) else bytearray(binary.plugin())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)):
        raw[at % len(raw)] = value
    raw += data.draw(st.binary(max_size=20))
    try:
        read(raw)
    except NotAModule as error:
        assert error.problem.fix
        assert len(str(error.problem)) <= 200


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 14), st.binary(max_size=60)), max_size=6))
def test_random_sections_give_a_module_or_a_problem(sections: list[tuple[int, bytes]]) -> None:
    try:
        read(binary.module(*(section(number, content) for number, content in sections)))
    except NotAModule as error:
        assert error.problem.message


def _struct_noise(size: int) -> bytes:
    return section(1, leb(size) + b"\x60\0\0" * size)


HOSTILE = [
    pytest.param(section(10, bytes(32 << 20)), id="large code"),
    pytest.param(custom("x", bytes(32 << 20)), id="large custom section"),
    pytest.param(b"".join([custom("x" * 3_000)] * 10_000), id="many custom sections"),
    pytest.param(_struct_noise(20_000), id="many types"),
    pytest.param(VOID + section(3, leb(500_000) + b"\x80\x00" * 500_000), id="many functions"),
]


@pytest.mark.parametrize("tail", HOSTILE)
def test_memory_stays_flat(tail: bytes) -> None:
    data = binary.HEADER + tail
    tracemalloc.start()
    try:
        read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20
