from __future__ import annotations

import pytest

from registry.wasm.bodies import bodies, code_of, leb, locals_of, section_of
from registry.wasm.reader import Malformed, Reader
from registry.wasm.sections import DATA
from tests.registry.wasm.binary import HEADER, code, module


def test_bodies() -> None:
    assert list(bodies(b"\x02\x02\x00\x0b\x03\x00\x01\x0b")) == [b"\x00\x0b", b"\x00\x01\x0b"]


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x05\x00\x0b"])
def test_bodies_that_are_cut(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(bodies(data))


def test_code_of() -> None:
    data = memoryview(module(code(2)))
    found = code_of(data)
    assert found is not None
    assert found[1] == b"\x02\x02\x00\x0b\x02\x00\x0b"
    assert code_of(memoryview(HEADER)) is None
    assert section_of(data, DATA) is None


@pytest.mark.parametrize(
    ("body", "start", "types"),
    [
        (b"\x00\x0b", 1, b""),
        (b"\x02\x05\x7f\x01\x69\x0b", 5, b"\x7f\x69"),
        (b"\x01\x01\x63\x80\x01\x0b", 5, b"\x63\x80\x01"),
    ],
)
def test_locals_of(body: bytes, start: int, types: bytes) -> None:
    assert locals_of(body) == (start, types)


@pytest.mark.parametrize("number", [0, 127, 128, 1 << 20, (1 << 32) - 1])
def test_leb(number: int) -> None:
    assert Reader(leb(number)).unsigned() == number
