from __future__ import annotations

import pytest

from registry.wasm.constants import constant
from registry.wasm.reader import Malformed, Reader

GLOBALS = (7, None, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        pytest.param("41 05 0b", 5, id="i32"),
        pytest.param("41 7f 0b", (1 << 32) - 1, id="minus one"),
        pytest.param("42 7f 0b", (1 << 64) - 1, id="minus one of 64 bits"),
        pytest.param("41 05 41 03 6a 0b", 8, id="add"),
        pytest.param("41 03 41 05 6b 0b", (1 << 32) - 2, id="sub wraps"),
        pytest.param("41 06 41 07 6c 0b", 42, id="mul"),
        pytest.param("42 01 42 02 7c 42 04 7e 42 01 7d 0b", 11, id="64 bits"),
        pytest.param("23 00 0b", 7, id="global"),
        pytest.param("23 01 0b", None, id="global that is not known"),
        pytest.param("23 01 41 01 6a 0b", None, id="sum of what is not known"),
        pytest.param("23 09 0b", None, id="global that is not there"),
        pytest.param("43 00 00 80 3f 0b", None, id="f32"),
        pytest.param("44 00 00 00 00 00 00 f0 3f 0b", None, id="f64"),
        pytest.param("d0 70 0b", None, id="null"),
        pytest.param("d2 80 01 0b", None, id="function"),
        pytest.param("fd 0c 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b 0b", None, id="vector"),
        pytest.param("41 01 fb 1c 0b", None, id="i31"),
        pytest.param("41 01 41 02 fb 08 05 02 0b", None, id="array"),
        pytest.param("0b", None, id="nothing"),
    ],
)
def test_constant(code: str, number: int | None) -> None:
    reader = Reader(bytes.fromhex(code))
    assert constant(reader, GLOBALS) == number
    assert reader.at_end()


@pytest.mark.parametrize("code", ["00 0b", "10 00 0b", "fb 10 0b", "fd 0d 0b", "20 00 0b"])
def test_what_is_not_constant(code: str) -> None:
    with pytest.raises(Malformed, match="is not constant"):
        constant(Reader(bytes.fromhex(code)), ())


@pytest.mark.parametrize("code", ["", "41", "41 05", "44 00 0b", "fd 0c 00"])
def test_what_is_cut(code: str) -> None:
    with pytest.raises(Malformed):
        constant(Reader(bytes.fromhex(code)), ())
