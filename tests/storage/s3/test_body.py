from __future__ import annotations

import os

import pytest

from storage.s3.body import Body

CONTENT = bytes(range(256)) * 2000


def read(body: Body, size: int = -1) -> bytes:
    found = b""
    while piece := body.read(size):
        assert len(piece) <= size or size < 0
        found += piece
    return found


@pytest.mark.parametrize("cuts", [(), (0,), (1,), (100, 100), (5, 300_000), (len(CONTENT),)])
@pytest.mark.parametrize("size", [-1, 7000, 16 << 10, 1 << 20])
def test_several_places_read_as_one(cuts: tuple[int, ...], size: int) -> None:
    ends = (*cuts, len(CONTENT))
    places = [bytearray(CONTENT[a:b]) for a, b in zip((0, *cuts), ends, strict=True)]
    body = Body(*places)
    assert len(body) == len(CONTENT)
    assert read(body, size) == CONTENT
    assert (body.read(), body.tell()) == (b"", len(CONTENT))


def test_it_is_read_again_from_anywhere() -> None:
    body = Body(b"one", memoryview(b"two"))
    assert body.read(4) == b"onet"
    assert (body.seek(1), body.read()) == (1, b"netwo")
    assert (body.seek(-2, os.SEEK_END), body.tell(), body.read()) == (4, 4, b"wo")
    assert (body.seek(-3, os.SEEK_CUR), body.read(0), body.read(1)) == (3, b"", b"t")


def test_what_was_read_can_be_cleared_though_the_body_is_known() -> None:
    held = bytearray(b"part")
    body = Body(held)
    piece = body.read()
    held.clear()
    assert piece == b"part"


def test_no_bytes() -> None:
    assert (len(Body()), Body().read(), Body(b"").read()) == (0, b"", b"")
