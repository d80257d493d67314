from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from wasmtime import Config, wat2wasm

from registry.verdict import Problem
from registry.wasm.module import read
from registry.wasm.validity import FEATURES, MISSING, problem
from tests.registry.wasm import binary
from tests.registry.wasm.binary import leb, section


def _problem(data: bytes) -> Problem | None:
    return problem(read(data), data)


# What V8 of every Envoy that is judged for has; each was loaded by all of them.
TAKEN = [
    pytest.param("(func (result i32) i32.const 1 i32.extend8_s)", id="sign extension"),
    pytest.param("(func (result i32) f32.const 1 i32.trunc_sat_f32_s)", id="saturating conversions"),
    pytest.param("(func (result i32 i64) i32.const 1 i64.const 2)", id="multiple values"),
    pytest.param('(memory 1) (data "a") (func i32.const 0 i32.const 0 i32.const 1 memory.init 0)', id="bulk"),
    pytest.param("(table 1 externref) (func (result externref) i32.const 0 table.get 0)", id="references"),
    pytest.param("(func (param v128) (result v128) local.get 0 i32x4.neg)", id="SIMD"),
    pytest.param(
        "(func (param v128) (result v128) local.get 0 local.get 0 i8x16.relaxed_swizzle)", id="relaxed SIMD"
    ),
    pytest.param("(func $f return_call $f)", id="tail calls"),
    pytest.param("(tag $e) (func throw $e)", id="exceptions"),
    pytest.param("(func try_table (catch_all 0) end)", id="new exceptions"),
    pytest.param("(tag $e) (func try throw $e catch $e end)", id="legacy exceptions"),
    pytest.param("(memory i64 1) (func (result i32) i64.const 0 i32.load)", id="64-bit memory"),
    pytest.param("(memory 1) (memory 2)", id="several memories"),
    pytest.param("(memory 1 2 shared) (func i32.const 0 i32.atomic.load drop)", id="threads"),
    pytest.param("(global i32 (i32.add (i32.const 1) (i32.const 2)))", id="extended constants"),
    pytest.param(
        "(type $t (func)) (func (param (ref $t)) local.get 0 call_ref $t)", id="function references"
    ),
    pytest.param("(type $s (struct (field i32))) (func i32.const 1 struct.new $s drop)", id="GC"),
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_v8_takes(text: str) -> None:
    assert _problem(bytes(wat2wasm(f"(module {text})"))) is None


BUILD, TURN_OFF = "Build it again", "Turn that feature off"


@pytest.mark.parametrize(
    ("data", "says", "fix"),
    [
        pytest.param(wat2wasm("(module (func i32.const 1))"), "values remaining", BUILD, id="value left"),
        pytest.param(wat2wasm("(module (func (result i32)))"), "expected i32", BUILD, id="value missing"),
        pytest.param(wat2wasm("(module (func call 9))"), "unknown function 9", BUILD, id="no such function"),
        pytest.param(wat2wasm("(module (func memory.size drop))"), "unknown memory 0", BUILD, id="no memory"),
        pytest.param(
            wat2wasm("(module (func (param i32)) (start 0))"), "start function", BUILD, id="start function"
        ),
        pytest.param(
            wat2wasm(
                "(module (func (param i64 i64 i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 "
                "i64.add128 drop drop))"
            ),
            "wide arithmetic",
            TURN_OFF,
            id="wide arithmetic",
        ),
        pytest.param(
            binary.module(binary.types(b"\x60\0\0"), binary.functions(0)), "code", BUILD, id="no code"
        ),
        pytest.param(
            wat2wasm("(module (table 10000001 funcref))"), "10000000 is the limit", BUILD, id="limit"
        ),
        pytest.param(
            wat2wasm("(module (func try catch_all rethrow 5 end))"),
            "rethrow does not name",
            BUILD,
            id="legacy",
        ),
    ],
)
def test_what_v8_refuses(data: bytearray, says: str, fix: str) -> None:
    found = _problem(bytes(data))
    assert found is not None
    assert found.code == "wasm-invalid"
    assert found.message.startswith("Envoy: Failed to load Wasm bytecode: ")
    assert says in found.message
    assert found.fix.startswith(fix)
    assert len(str(found)) <= 200


def test_what_wasmtime_alone_refuses_is_beyond_the_limits() -> None:
    tables = section(4, leb(101) + b"\x70\0\0" * 101)
    found = _problem(binary.module(tables))
    assert found is not None
    assert found.code == "wasm-beyond-limits"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer(kind: type[bytes]) -> None:
    data = kind(binary.plugin())
    assert problem(read(data), data) is None


def test_a_mapped_file_can_be_closed_afterwards(tmp_path: Path) -> None:
    for name, data in {"good": binary.plugin(), "bad": bytes(wat2wasm("(module (func call 9))"))}.items():
        path = tmp_path / name
        path.write_bytes(data)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert (problem(read(mapped), mapped) is None) == (name == "good")


def test_every_feature_is_one_of_wasmtime() -> None:
    assert {name for name in (*FEATURES, *MISSING) if not hasattr(Config, f"wasm_{name}")} == set()
