from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.border import export_problems, import_problems
from registry.wasm.module import read
from registry.wasm.sdk import Sdk


def _codes(text: str) -> list[str]:
    module = read(wat2wasm(f"(module {text})"))
    found = [*import_problems(module, Sdk.UNKNOWN), *export_problems(module, Sdk.UNKNOWN)]
    for problem in found:
        assert len(str(problem)) <= 220
        assert "crash" in problem.message
        assert problem.fix
    return [problem.code for problem in found]


SAFE = ["i32", "i64", "f32", "f64", "funcref", "externref", "(ref func)", "(ref extern)"]
DEADLY = ["v128", "anyref", "eqref", "i31ref", "structref", "arrayref", "nullref", "exnref", "(ref any)"]


@pytest.mark.parametrize("value", SAFE)
def test_types_that_v8_has_a_name_for(value: str) -> None:
    assert _codes(f'(import "env" "f" (func (param {value}))) (import "env" "g" (global {value}))') == []
    assert _codes(f'(func (export "f") (param {value}) (result {value}) unreachable)') == []


@pytest.mark.parametrize("value", DEADLY)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param('(import "env" "f" (func (param {})))', id="imported parameter"),
        pytest.param('(import "env" "g" (global {}))', id="imported global"),
        pytest.param('(func (export "f") (param {}))', id="exported parameter"),
        pytest.param('(func (export "f") (result {}) unreachable)', id="exported result"),
    ],
)
def test_types_that_end_envoy(text: str, value: str) -> None:
    assert _codes(text.format(value)) == ["type-crash"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param("(func (param v128)) (tag) (table 1 anyref)", [], id="inside all goes"),
        pytest.param('(import "env" "t" (tag))', ["imported-tag"], id="imported tag"),
        pytest.param('(tag (export "t"))', ["exported-tag"], id="exported tag"),
        pytest.param('(import "env" "t" (table 1 anyref))', ["type-crash"], id="imported table"),
        pytest.param('(table (export "t") 1 eqref)', ["type-crash"], id="exported table"),
        pytest.param(
            '(import "env" "a" (memory 1)) (import "env" "b" (memory 1))',
            ["second-imported-memory"],
            id="two imported memories",
        ),
        pytest.param(
            '(import "env" "a" (table 1 funcref)) (import "env" "b" (table 1 funcref))',
            ["second-imported-table"],
            id="two imported tables",
        ),
        pytest.param('(import "env" "a" (memory 1)) (memory (export "m") 1)', [], id="one of each"),
    ],
)
def test_border(text: str, codes: list[str]) -> None:
    assert _codes(text) == codes


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("0", True),
        ("42", True),
        ("4294967294", True),
        ("4294967295", False),
        ("007", False),
        ("-1", False),
        ("", False),
        ("x\\00", True),
        ("\\00", True),
        ("\\00x", False),
    ],
)
def test_names_that_v8_cannot_look_up(name: str, lost: bool) -> None:
    codes = ["name-crash"] if lost else []
    assert _codes(f'(func (export "{name}"))') == codes
    assert _codes(f'(memory (export "{name}") 1)') == codes
    assert _codes(f'(global (export "{name}") i32 (i32.const 0))') == []
    assert _codes(f'(table (export "{name}") 1 funcref)') == []


def test_a_name_with_a_zero_byte_beside_the_name_without() -> None:
    assert _codes('(func (export "x\\00") (export "x"))') == []
