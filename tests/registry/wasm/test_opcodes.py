from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.bodies import bodies, code_of, locals_of
from registry.wasm.opcodes import BLOCK, BR_TABLE, CATCH, END, GC, REF_NULL, SELECT_TYPED, TRY_TABLE, stops
from registry.wasm.reader import Malformed

# Each line a run of instructions that need no look.
PLAIN = [
    pytest.param("00 01 0f 1a 1b d1 d3 d4 45 c4", id="no immediates"),
    pytest.param("20 80 01 21 00 22 00 23 00 24 00 25 00 26 00 10 05 0c 00 0d 00 08 00", id="an index"),
    pytest.param("41 80 80 80 80 78 42 7f 3f 00 40 00 d2 05 12 01 14 02 15 03 d5 00 d6 00", id="a number"),
    pytest.param("43 0b 0b 0b 0b 44 0b 0b 0b 0b 0b 0b 0b 0b", id="floats that look like ends"),
    pytest.param("11 00 80 01 13 01 00", id="indirect calls"),
    pytest.param("28 02 80 08 3e 00 00 28 42 01 0b 28 82 00 0b 28 c2 00 0b 0b", id="memory with an index"),
    pytest.param("d0 70 d0 6f d0 05", id="nulls"),
    pytest.param("fc 00 fc 07 fc 08 0b 0b fc 09 0b fc 0a 0b 0b fc 0b 0b fc 11 0b fc 8f 00 0b", id="bulk"),
    pytest.param("fd 00 00 0b fd 0b 04 0b fd 0e fd 15 0b fd 54 00 0b 0b fd 5d 00 0b fd 83 01", id="vectors"),
    pytest.param("fd 0c " + "0b " * 16 + "fd 0d " + "0b " * 16 + "fd 93 02", id="long vectors"),
    pytest.param("fe 00 02 0b fe 03 0b fe 4e 02 0b", id="atomics"),
    pytest.param("fb 00 0b fb 02 0b 0b fb 0f fb 14 0b fb 18 03 0b 0b 0b fb 1c fb 86 00 0b", id="GC"),
]


@pytest.mark.parametrize("code", PLAIN)
def test_plain_instructions_are_run_over(code: str) -> None:
    data = bytes.fromhex(code)
    assert list(stops(data + b"\x0b", 0)) == [(END, len(data), len(data) + 1)]


STOPS = [
    pytest.param("02 40", BLOCK, id="block"),
    pytest.param("02 63 80 01", BLOCK, id="block of a reference"),
    pytest.param("02 80 01", BLOCK, id="block of a type"),
    pytest.param("07 80 00", CATCH, id="catch"),
    pytest.param("0e 02 00 80 01 02", BR_TABLE, id="br_table"),
    pytest.param("1c 02 7f 63 0b", SELECT_TYPED, id="select"),
    pytest.param("1f 40 04 00 0b 0b 01 0b 0b 02 0b 03 0b", TRY_TABLE, id="try_table"),
    pytest.param("d0 69", REF_NULL, id="null exception"),
    pytest.param("fb 08 0b 81 4e", GC, id="array.new_fixed"),
]


@pytest.mark.parametrize(("code", "opcode"), STOPS)
def test_stops(code: str, opcode: int) -> None:
    data = bytes.fromhex(code)
    found = list(stops(b"\x01" + data + b"\x0b", 0))
    assert found == [(opcode, 1, 1 + len(data)), (END, 1 + len(data), 2 + len(data))]


@pytest.mark.parametrize(
    "code", ["27", "fc 12", "fd 94 02", "ff", "0e 7f 00", "02", "41", "1f 40 01", "fb 1f"]
)
def test_what_is_no_instruction(code: str) -> None:
    with pytest.raises(Malformed):
        list(stops(bytes.fromhex(code), 0))


def test_the_ends_of_a_body_are_its_blocks() -> None:
    data = memoryview(
        wat2wasm("(module (func (param i32) block loop local.get 0 if nop else end br 0 end end))")
    )
    found = code_of(data)
    assert found is not None
    (body,) = bodies(found[1])
    start, _ = locals_of(body)
    opcodes = [opcode for opcode, _, _ in stops(body, start)]
    assert opcodes == [0x02, 0x03, 0x04, 0x05, END, END, END, END]
