from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.module import read
from registry.wasm.segments import out_of_bounds, too_large
from tests.registry.wasm import binary
from tests.registry.wasm.binary import leb, section


def _outside(text: str) -> str | None:
    data = bytes(wat2wasm(f"(module {text} (func $f))"))
    return out_of_bounds(read(data), memoryview(data))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param('(memory 1) (data (i32.const 65535) "a")', id="last byte"),
        pytest.param('(memory 1) (data (i32.const 65536) "")', id="empty at the end"),
        pytest.param('(memory 1) (data "passive" "too")', id="passive"),
        pytest.param('(data "passive")', id="passive without a memory"),
        pytest.param("(elem func $f)", id="passive without a table"),
        pytest.param('(memory 0) (memory 1) (data (memory 1) (i32.const 0) "a")', id="second memory"),
        pytest.param('(memory i64 1) (data (i64.const 65535) "a")', id="64-bit memory"),
        pytest.param('(import "env" "m" (memory 1)) (data (i32.const 0) "a")', id="imported memory"),
        pytest.param(
            '(import "env" "g" (global i32)) (memory 1) (data (global.get 0) "a")', id="place not known"
        ),
        pytest.param("(table 2 funcref) (elem (i32.const 0) $f $f)", id="table"),
        pytest.param("(table 0 funcref) (elem declare func $f) (elem func $f $f)", id="no active one"),
        pytest.param("(table 2 funcref) (elem (i32.const 2) func)", id="empty at the end of the table"),
        pytest.param(
            "(table 2 funcref) (elem (i32.const 0) funcref (ref.null func) (ref.func $f))", id="expressions"
        ),
    ],
)
def test_segments_that_fit(text: str) -> None:
    assert _outside(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            '(memory 1) (data (i32.const 65535) "ab")',
            "a data segment ends at byte 65537 of a memory of 1 pages",
            id="a byte too far",
        ),
        pytest.param(
            '(memory 1) (data (i32.const 0) "a") (data (i32.const -1) "")',
            "a data segment ends at byte 4294967295 of a memory of 1 pages",
            id="unsigned",
        ),
        pytest.param(
            '(memory 1) (data (i32.const 65537) "")',
            "a data segment ends at byte 65537 of a memory of 1 pages",
            id="empty behind the end",
        ),
        pytest.param(
            '(memory 1) (memory 0) (data (memory 1) (i32.const 0) "a")',
            "a data segment ends at byte 1 of a memory of 0 pages",
            id="second memory",
        ),
        pytest.param(
            '(memory i64 1) (data (i64.const -1) "a")',
            f"a data segment ends at byte {1 << 64} of a memory of 1 pages",
            id="64-bit memory",
        ),
        pytest.param(
            '(memory 1) (global $g i32 (i32.const 65536)) (data (global.get $g) "a")',
            "a data segment ends at byte 65537 of a memory of 1 pages",
            id="by a global",
        ),
        pytest.param(
            '(memory 1) (data (i32.mul (i32.const 65536) (i32.const 2)) "")',
            "a data segment ends at byte 131072 of a memory of 1 pages",
            id="computed",
        ),
        pytest.param(
            "(table 1 funcref) (elem (i32.const 1) $f)",
            "element segment 0 ends at entry 2 of a table of 1",
            id="table",
        ),
        pytest.param(
            "(table 9 funcref) (table 1 funcref) (elem (table 1) (i32.const 0) func $f $f)",
            "element segment 0 ends at entry 2 of a table of 1",
            id="second table",
        ),
        pytest.param(
            "(table 1 externref) (table 1 funcref) (elem func $f)"
            " (elem (table 1) (i32.const 1) (ref null func) (ref.null func))",
            "element segment 1 ends at entry 2 of a table of 1",
            id="expressions",
        ),
        pytest.param(
            "(type $a (array i8)) (table 1 anyref)"
            " (elem (i32.const 0) anyref (array.new_fixed $a 1 (i32.const 3)) (ref.i31 (i32.const 1)))",
            "element segment 0 ends at entry 2 of a table of 1",
            id="expressions of GC",
        ),
    ],
)
def test_segments_that_do_not_fit(text: str, says: str) -> None:
    assert _outside(text) == says


def test_many_function_indices_are_stepped_over() -> None:
    long = b"\x80\x80\x80\x80\x00" * 3
    data = binary.module(
        binary.types(binary.VOID),
        binary.functions(0),
        section(4, b"\x01\x70\x00\x04"),
        section(
            9, b"\x02\x00\x41\x00\x0b" + leb(4) + long + b"\x00" + b"\x00\x41\x04\x0b" + leb(1) + b"\x00"
        ),
        binary.code(1),
    )
    assert out_of_bounds(read(data), memoryview(data)) == "element segment 1 ends at entry 5 of a table of 4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(memory 16384)", None),
        ("(memory 1 65536)", None),
        ("(memory 16385)", "a memory begins with 16385 pages, 16384 (1 GiB) is the limit"),
        ("(memory 1) (memory i64 20000)", "a memory begins with 20000 pages, 16384 (1 GiB) is the limit"),
    ],
)
def test_too_large(text: str, says: str | None) -> None:
    assert too_large(read(wat2wasm(f"(module {text})"))) == says


def _signed(value: int, size: int) -> bytes:
    """A signed LEB128 of 32 bits in so many bytes, or the shortest that holds it."""
    value -= (value & 0x80000000) << 1
    out = bytearray()
    while True:
        group, value = value & 0x7F, value >> 7
        done = value == -(group >> 6) and len(out) + 1 >= size
        out.append(group if done else group | 0x80)
        if done:
            return bytes(out)


PAGES = (0, 1, 2, 16, 31, 32, 33, 39, 128, 1000, 2048, 4096, 16_384)
NEAR = (-(1 << 21), -(1 << 14) - 1, -(1 << 14), -129, -128, -127, -1, 0, 1, 127, 1 << 14)


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("length", [0, 1, 127, 128, 300])
@pytest.mark.parametrize("size", [1, 3, 4, 5], ids=lambda size: f"{size} bytes at least")
def test_the_bounds_of_small_segments(pages: int, length: int, size: int) -> None:
    """Runs of them are stepped over by one pattern: it has to stop right before the first that is too far."""
    room = pages << 16
    fits = b"\0\x41\0\x0b\0"
    for at in {0, 63, 64, 8191, 8192, 1 << 20, (1 << 21) - 1, 1 << 27, 1 << 31, *(room + by for by in NEAR)}:
        if not 0 <= at < 1 << 32:
            continue
        segment = b"\0\x41" + _signed(at, size) + b"\x0b" + leb(length) + b"\0" * length
        content = leb(3) + fits + segment + fits
        data = binary.module(section(5, b"\1\0" + leb(pages)), section(11, content))
        says = out_of_bounds(read(data), memoryview(data))
        assert (says is None) is (at + length <= room), (at, says)
