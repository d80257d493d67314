"""`Ahead`: what it knows of the code in time, and that no verdict is another one for it."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.publish.bare import inspect_module
from registry.wasm import ahead as ahead_module
from registry.wasm.ahead import MOST_SEGMENTS, Ahead
from tests.registry.wasm.binary import HEADER, custom, leb, plugin, section
from tests.registry.wasm.modules import table


def known(data: bytes, piece: int = 1000) -> bool:
    ahead = Ahead()
    for at in range(0, len(data), piece):
        ahead.add(data[at : at + piece])
    return ahead.code_is_valid()


def wat(text: str) -> bytes:
    return bytes(wat2wasm(f"(module {text})"))


CODE = "(func (result i32) i32.const 1)"
INITIALIZING = '(memory 1) (data "a") (func i32.const 0 i32.const 0 i32.const 1 memory.init 0)'


@pytest.mark.parametrize(
    ("data", "is_known"),
    [
        pytest.param(wat(CODE), True, id="code"),
        pytest.param(wat(INITIALIZING), True, id="code that knows how many data segments come"),
        pytest.param(wat('(memory 1) (func) (data (i32.const 0) "a")'), True, id="data after it"),
        pytest.param(wat(CODE) + custom("name", b"\xff"), True, id="what comes after it is not its own"),
        pytest.param(wat(CODE) + b"\xff\xff", True, id="nor is garbage"),
        pytest.param(wat("(func unreachable)")[:-1] + b"\x01", False, id="code without its end"),
        pytest.param(wat("(func i32.const 1)"), False, id="code that leaves a value"),
        pytest.param(wat("(tag $e) (func try throw $e catch $e end)"), False, id="legacy exceptions"),
        pytest.param(wat(CODE)[:-1], False, id="cut short"),
        pytest.param(wat("(memory 1)"), False, id="no code"),
        pytest.param(HEADER, False, id="nothing"),
        pytest.param(b"", False, id="no bytes"),
        pytest.param(HEADER + b"\x01\xff\xff\xff\xff\xff\xff", False, id="a section of no length"),
        pytest.param(
            HEADER + section(12, leb(MOST_SEGMENTS + 1)) + section(10, leb(0)), False, id="segments"
        ),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_what_is_known_of_the_code(data: bytes, is_known: bool, piece: int) -> None:
    assert known(data, piece) is is_known


def test_no_more_is_held_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "MOST", 100)
    ahead = Ahead()
    ahead.add(HEADER + section(0, b"\x01x" + bytes(98))[:50])
    ahead.add(bytes(1000))
    assert len(ahead._held) == 0
    assert not ahead.code_is_valid()


@pytest.mark.parametrize("data", table().values(), ids=table())
def test_no_verdict_is_another_one(data: bytes) -> None:
    assert inspect_module(data, code_is_valid=known(data)) == inspect_module(data)


def test_of_most_modules_it_is_known() -> None:
    assert known(plugin())
    assert sum(map(known, table().values())) > len(table()) // 2
