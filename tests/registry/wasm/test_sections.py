from __future__ import annotations

import pytest

from registry.wasm.module import read
from registry.wasm.reader import BeyondLimit, Malformed
from registry.wasm.sections import (
    CODE,
    CUSTOM,
    TYPE,
    Section,
    check_order,
    custom_title,
    sections,
    stripped,
)
from registry.wasm.validity import problem
from tests.registry.wasm.binary import HEADER, code, custom, functions, module, section, types


def _sections(data: bytes) -> list[Section]:
    return list(sections(memoryview(data)))


def test_sections() -> None:
    data = module(types(), custom("x"), code(1))
    found = _sections(data)
    assert [(part.id, part.name) for part in found] == [(TYPE, "type"), (CUSTOM, "custom"), (CODE, "code")]
    assert data[found[1].start : found[1].end] == b"\x01x"
    assert [len(part) for part in found] == [1, 2, 4]
    check_order(found)


@pytest.mark.parametrize(
    ("tail", "says"),
    [
        pytest.param(b"\x01", "ends at byte 9", id="no length"),
        pytest.param(b"\x01\x05\x00", "has 5 bytes, the file only 1 more", id="cut"),
        pytest.param(b"\x01\xff\xff\xff\xff\xff\x00", "runs on", id="length runs on"),
        pytest.param(b"\x7f\x7f", "begins no section", id="stray bytes"),
    ],
)
def test_sections_that_are_cut(tail: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        _sections(HEADER + tail)


def test_too_many_sections() -> None:
    with pytest.raises(BeyondLimit):
        _sections(module(*[custom("x")] * 10_001))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param((types(), types()), "repeated or out of order", id="twice"),
        pytest.param((functions(), types()), "repeated or out of order", id="order"),
        pytest.param((section(6, b"\0"), section(13, b"\0")), "repeated or out of order", id="tag late"),
        pytest.param((section(14, b""),), "begins no section", id="unknown"),
    ],
)
def test_order(parts: tuple[bytes, ...], says: str) -> None:
    with pytest.raises(Malformed, match=says):
        check_order(_sections(module(*parts)))


def test_the_order_of_the_format() -> None:
    order = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
    check_order(_sections(module(custom("a"), *(section(number, b"") for number in order), custom("b"))))


def test_custom_title() -> None:
    data = memoryview(module(custom("abc", b"rest")))
    (found,) = sections(data)
    title, start = custom_title(data, found)
    assert title == b"abc"
    assert bytes(data[start : found.end]) == b"rest"


def test_v8_sees_no_custom_section_from_the_compiled_one_on() -> None:
    kept, compiled, bad = custom("a"), custom("x.precompiled_v8", b"code"), custom(b"\xff")
    data = module(kept, types(), compiled, functions(), bad, custom("b"))
    assert stripped(data) == module(kept, types(), functions())
    assert read(data).custom_sections == ("a",)
    assert problem(read(data), data) is None
    plain = module(kept, types())
    assert stripped(plain) is plain
