from __future__ import annotations

import pytest

from registry.consumers.numbers import BadNumber, check_time, decimal, numeric


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0\0\0\0", 0),
        (b"        ", 0),
        (b"12\x0034\0", 0o12),
        (b"\x80\0\0\0\0\0\0\0\0\0\x01\x00", 256),
        (b"\xff" * 12, -1),
        (b"\xff" * 11 + b"\xfe", -2),
        (b"\x80\0\0\0" + b"\x7f" + b"\xff" * 7, 2**63 - 1),
    ],
)
def test_numeric(field: bytes, value: int) -> None:
    assert numeric(field) == value


@pytest.mark.parametrize(
    "field", [b"8", b"-1", b"0o7", b"1_0", b"x", b"\x80\0\0\0" + b"\xff" * 8, b"\xbf" * 12]
)
def test_numeric_refuses(field: bytes) -> None:
    with pytest.raises(BadNumber):
        numeric(field)


@pytest.mark.parametrize(("text", "value"), [(b"0", 0), (b"+7", 7), (b"-7", -7), (b"0" * 99 + b"8", 8)])
def test_decimal(text: bytes, value: int) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize(
    "text",
    [b"", b"+", b" 1", b"1 ", b"1_0", b"0x1", b"1.0", b"9223372036854775808", b"9" * 5000, "٣".encode()],
)
def test_decimal_refuses(text: bytes) -> None:
    with pytest.raises(BadNumber):
        decimal(text)


def test_the_ends_of_64_bits() -> None:
    assert decimal(b"9223372036854775807") == 2**63 - 1
    assert decimal(b"-9223372036854775808") == -(2**63)


@pytest.mark.parametrize("text", [b"0", b"-1.5", b"1.", b"1.123456789123"])
def test_times(text: bytes) -> None:
    check_time(text)


@pytest.mark.parametrize("text", [b"", b".5", b"1.x", b"1.2.3", b"soon"])
def test_no_times(text: bytes) -> None:
    with pytest.raises(BadNumber):
        check_time(text)
