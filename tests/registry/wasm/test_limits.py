from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.limits import beyond_wasmtime, exceeded
from registry.wasm.module import read
from tests.registry.wasm.binary import code_of_bodies, functions, leb, module, types


def _exceeded(data: bytes) -> str | None:
    return exceeded(read(data), memoryview(data))


def _wat(text: str) -> bytes:
    return bytes(wat2wasm(f"(module {text})"))


def _br_table(targets: int, *, before: bytes = b"") -> bytes:
    body = before + b"\x41\x00\x0e" + leb(targets) + b"\x00" * (targets + 1) + b"\x0b"
    return module(types(b"\x60\0\0"), functions(0), code_of_bodies(b"\x00" + body))


def _array(elements: int) -> bytes:
    body = b"\x00\x00\xfb\x08\x01" + leb(elements) + b"\x1a\x0b"
    return module(types(b"\x60\0\0", b"\x5e\x7f\x00"), functions(0), code_of_bodies(body))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_wat(""), id="empty"),
        pytest.param(_wat("(table 10000000 funcref) (table 1 4294967295 funcref)"), id="tables"),
        pytest.param(_wat("(memory i64 262144) (memory 1 65536)"), id="memories"),
        pytest.param(_br_table(65_520), id="br_table"),
        pytest.param(_array(10_000), id="array"),
        pytest.param(
            _br_table(10, before=b"\x44" + b"\x0e\xff\xff\x7f" * 2 + b"\x1a"), id="number that looks so"
        ),
    ],
)
def test_within(data: bytes) -> None:
    assert _exceeded(data) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(_wat("(table 10000001 funcref)"), "a table of 10000001 entries", id="table"),
        pytest.param(_wat("(table i64 10000001 funcref)"), "a table of 10000001 entries", id="64-bit table"),
        pytest.param(
            _wat('(import "env" "t" (table 10000001 funcref))'), "a table of 10000001", id="imported table"
        ),
        pytest.param(_wat("(memory i64 262145)"), "a 64-bit memory of 262145 pages", id="memory"),
        pytest.param(_wat("(memory i64 1 262145)"), "a 64-bit memory of 262145 pages", id="its maximum"),
        pytest.param(_br_table(65_521), "a br_table of 65521 targets", id="br_table"),
        pytest.param(_br_table(70_000, before=b"\x01" * 70_000), "a br_table of 70000", id="later in a body"),
        pytest.param(_array(10_001), "array.new_fixed of 10001 elements", id="array"),
    ],
)
def test_over(data: bytes, says: str) -> None:
    assert (_exceeded(data) or "").startswith(says)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("tables count exceeds limit of 100 (at offset 0x15)", True),
        ("string size out of bounds (at offset 0x19)", True),
        ("functions count exceeds limit of 1000000 (at offset 0x12)", False),
        ("type mismatch (at offset 0x12)", False),
    ],
)
def test_beyond_wasmtime(says: str, expected: bool) -> None:
    assert beyond_wasmtime(says) is expected
