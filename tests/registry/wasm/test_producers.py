from __future__ import annotations

import pytest

from registry.wasm.module import read
from registry.wasm.producers import Producers
from tests.registry.wasm import binary
from tests.registry.wasm.binary import custom, leb, name, vec


def test_all_fields() -> None:
    section = binary.producers(
        language=[("Rust", ""), ("C11", "")], processed_by=[("rustc", "1.90.0")], sdk=[("x" * 300, "1")]
    )
    assert read(binary.module(section)).producers == Producers(
        (("Rust", ""), ("C11", "")), (("rustc", "1.90.0"),), (("x" * 200, "1"),)
    )


def test_the_first_section_counts() -> None:
    first, second = (binary.producers(language=[(who, "")]) for who in ("Go", "Rust"))
    assert read(binary.module(first, second)).producers.language == (("Go", ""),)


@pytest.mark.parametrize("content", [b"", b"\xff", vec([name("language")]), leb(65) + bytes(65)])
def test_malformed_producers_say_nothing(content: bytes) -> None:
    assert read(binary.module(custom("producers", content))).producers == Producers()
