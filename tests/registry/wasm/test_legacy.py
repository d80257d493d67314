from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.legacy import Invalid, rewritten
from registry.wasm.module import read
from registry.wasm.reader import BeyondLimit
from registry.wasm.validity import problem
from tests.registry.wasm import binary
from tests.registry.wasm.binary import leb, section

TAGS = """
  (type $over (func (param i32 i64) (result f32 (ref null func))))
  (tag $e) (tag $i (param i32)) (tag $many (param i64 v128 f64 externref))
  (tag $ref (param (ref func)))"""


def _wasm(text: str) -> bytes:
    return bytes(wat2wasm(f"(module {TAGS} {text})"))


def _why(data: bytes) -> str | None:
    found = problem(read(data), data)
    return found.message if found else None


# What V8 in all five Envoys takes, and what it refuses.
VALID = [
    pytest.param("(func try end)", id="without a catch"),
    pytest.param("(func try catch $e end)", id="catch"),
    pytest.param("(func try catch_all end)", id="catch all"),
    pytest.param("(func try catch $e catch $i drop catch_all end)", id="several"),
    pytest.param("(func try catch $many drop drop drop drop end)", id="values of all kinds"),
    pytest.param("(func try catch $ref drop end)", id="value without null"),
    pytest.param(
        "(func (result i32) try (result i32) i32.const 1 catch $i end)", id="result is what it caught"
    ),
    pytest.param(
        "(func (result i32) try (result i32) i32.const 1 catch_all i32.const 2 br 0 end)", id="branch out"
    ),
    pytest.param(
        """(func (result f32) i32.const 1 i64.const 2 try (type $over)
             drop drop f32.const 0 ref.null func
           catch $i drop f32.const 1 ref.null func
           catch_all f32.const 2 ref.null func end drop)""",
        id="parameters and results",
    ),
    pytest.param("(func try catch $e rethrow 0 end)", id="rethrow"),
    pytest.param("(func try catch_all block rethrow 1 end end)", id="rethrow from a block"),
    pytest.param("(func (result i32) try catch_all rethrow 0 end i32.const 1)", id="after rethrow"),
    pytest.param("(func try delegate 0)", id="delegate to the caller"),
    pytest.param("(func block try delegate 0 try delegate 1 end)", id="delegate to a block"),
    pytest.param("(func (result i32) try (result i32) i32.const 1 delegate 0)", id="delegate with a result"),
    pytest.param("(func try try catch_all end catch_all try catch $e end end)", id="nested"),
    pytest.param("(func unreachable try catch $i drop end)", id="never reached"),
    pytest.param("(func try throw $e catch_all end)", id="throw"),
    pytest.param(
        "(func try catch_all end) (global exnref (ref.null exn)) (func (param exnref))",
        id="exnref outside of bodies",
    ),
    pytest.param("(func try catch_all end) (func (local f64) local.get 0 drop)", id="beside other bodies"),
]
INVALID = [
    pytest.param("(func try catch_all catch $e end)", id="catch after catch all"),
    pytest.param("(func try catch_all catch_all end)", id="catch all twice"),
    pytest.param("(func catch_all)", id="catch outside"),
    pytest.param("(func block try end catch $e end)", id="catch in a block"),
    pytest.param("(func try catch $e block catch $i end end)", id="catch in a block of a catch"),
    pytest.param("(func try catch $i end)", id="caught value is left"),
    pytest.param("(func (result i32) try (result i32) i32.const 1 catch_all end)", id="result is missing"),
    pytest.param("(func try i32.const 1 catch_all end)", id="value is left in the body"),
    pytest.param("(func try rethrow 0 catch_all end)", id="rethrow in the body"),
    pytest.param("(func try catch_all rethrow 1 end)", id="rethrow to the function"),
    pytest.param("(func try catch_all rethrow 9 end)", id="rethrow to nowhere"),
    pytest.param("(func try catch_all block rethrow 0 end end)", id="rethrow to a block"),
    pytest.param("(func try delegate 1)", id="delegate to nowhere"),
    pytest.param("(func try catch $e delegate 0)", id="delegate after a catch"),
    pytest.param("(func block try end delegate 0)", id="delegate of a block"),
    pytest.param("(func try catch 9 end)", id="no such tag"),
    pytest.param("(func try else end)", id="else"),
    pytest.param("(func try catch_all end) (func i32.const 1)", id="another body is wrong"),
    pytest.param("(func try catch_all end) (func try_table (catch_all 0) end)", id="mixed: try_table"),
    pytest.param("(func try catch_all end) (func ref.null exn throw_ref)", id="mixed: throw_ref"),
    pytest.param("(func (local exnref) try catch_all end)", id="mixed: local"),
    pytest.param("(func (local (ref null exn)) try catch_all end)", id="mixed: local, long form"),
    pytest.param(
        "(func try catch_all end unreachable block (result exnref) unreachable end drop)", id="mixed: block"
    ),
    pytest.param("(func try catch_all end unreachable select (result exnref) drop)", id="mixed: select"),
]


@pytest.mark.parametrize("text", VALID)
def test_what_v8_takes(text: str) -> None:
    data = _wasm(text)
    assert _why(data) is None
    made = rewritten(read(data), memoryview(data))
    assert _why(made) is None


@pytest.mark.parametrize("text", INVALID)
def test_what_v8_refuses(text: str) -> None:
    says = _why(_wasm(text))
    assert says is not None
    assert says.startswith("Envoy: Failed to load Wasm bytecode: ")


def test_rules_have_words() -> None:
    data = _wasm("(func try rethrow 0 catch_all end)")
    with pytest.raises(Invalid, match="rethrow does not name a catch"):
        rewritten(read(data), memoryview(data))


def test_what_is_around_the_code_stays() -> None:
    data = _wasm('(memory 1) (func try catch_all end) (data "kept")')
    made = rewritten(read(data), memoryview(data))
    assert made.endswith(data[-7:])
    assert read(made).memories == read(data).memories
    assert len(made) > len(data)


def test_a_module_without_code() -> None:
    data = _wasm("")
    assert rewritten(read(data), memoryview(data)) == data


def test_a_body_that_would_grow_without_measure_is_not_rewritten() -> None:
    """Each catch of two bytes stands for a thousand values to drop and a thousand to make."""
    many = b"\x60" + leb(1000) + b"\x7b" * 1000 + leb(1000) + b"\x7b" * 1000
    tag = b"\x60" + leb(1000) + b"\x7b" * 1000 + b"\0"
    body = b"\0\x06\x02" + b"\x07\0" * 20_000 + b"\x0b\x0b"
    data = binary.module(
        binary.types(b"\x60\0\0", many, tag),
        binary.functions(0),
        section(13, b"\1\0\2"),
        binary.code_of_bodies(body),
    )
    with pytest.raises(BeyondLimit):
        rewritten(read(data), memoryview(data))
