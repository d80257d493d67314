from __future__ import annotations

import pytest

from storage.pieces import in_one
from tests.storage.streams import pieces


@pytest.mark.parametrize(
    ("source", "whole"),
    [((), b""), ((b"",), b""), ((b"ab",), b"ab"), ((b"a", b"b"), None), ((b"a", b"", b"c"), None)],
    ids=["nothing", "empty", "one", "two", "three"],
)
async def test_in_one(source: tuple[bytes, ...], whole: bytes | None) -> None:
    found, every = await in_one(pieces(*source))
    assert found == whole
    assert b"".join([piece async for piece in every]) == b"".join(source)
