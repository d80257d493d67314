from __future__ import annotations

import pytest

from registry.wasm.names import broken
from tests.registry.wasm.binary import HEADER, custom, leb, module, name, section, vec


def _broken(*parts: bytes) -> str | None:
    return broken(memoryview(module(*(custom("name", part) for part in parts))))


def _functions(*entries: bytes) -> bytes:
    content = vec(entries)
    return b"\x01" + leb(len(content)) + content


NAMED = b"\x00" + name("main")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(_functions(), id="no function"),
        pytest.param(_functions(NAMED, NAMED), id="twice the same"),
        pytest.param(_functions(b"\x00\x01\xff"), id="no UTF-8"),
        pytest.param(b"\x00\x02\x01x" + _functions(NAMED) + b"\x02\x01\x00", id="other parts"),
        pytest.param(b"\x01\x85\x80\x80\x80\x00\x01\x00\x02ab", id="size longer than needed"),
    ],
)
def test_names_that_envoy_reads(content: bytes) -> None:
    assert _broken(content) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff", id="no size"),
        pytest.param(b"\x05", id="an id alone"),
        pytest.param(b"\x02\x7f", id="a part over the end"),
        pytest.param(b"\x01\x7f\x00", id="functions over the end"),
        pytest.param(b"\x01\x01\x7f", id="too many announced"),
        pytest.param(b"\x01\x05\x01\x00\x01a", id="shorter than announced"),
        pytest.param(b"\x01\x03\x01\x00\x01a", id="longer than announced"),
        pytest.param(b"\x01\x84\x80\x80\x80\x04\x01\x00\x01a", id="over 30 bits"),
    ],
)
def test_names_that_envoy_calls_corrupted(content: bytes) -> None:
    assert (_broken(content) or "").startswith("the name section: ")


def test_the_first_name_section_counts() -> None:
    assert _broken(b"", b"\xff") is None
    assert _broken(b"\xff", b"") is not None


def test_a_title_may_have_a_longer_length_than_it_needs() -> None:
    data = module(section(0, b"\x84\x80\x00name\xff"))
    assert broken(memoryview(data)) is not None


def test_other_sections_do_not_count() -> None:
    assert broken(memoryview(HEADER)) is None
    assert broken(memoryview(module(custom("names", b"\xff"), custom("nam", b"e\xff")))) is None
