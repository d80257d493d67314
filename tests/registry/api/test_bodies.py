import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.api.bodies import Bodies
from storage.errors import Busy, ManifestTooLarge

LARGE = ManifestTooLarge("too large.")


async def pieces(*body: bytes) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


@pytest.mark.parametrize(
    ("announced", "body", "taken"),
    [
        pytest.param(0, (b"12", b"34"), True, id="in pieces, as large as may be"),
        pytest.param(4, (b"1234",), True, id="announced"),
        pytest.param(0, (), True, id="empty"),
        pytest.param(5, (b"1234",), False, id="announced as larger"),
        pytest.param(0, (b"1234", b"5"), False, id="larger than announced"),
        pytest.param(1, (b"12345",), False, id="announced as smaller"),
    ],
)
async def test_the_limit(announced: int, body: tuple[bytes, ...], taken: bool) -> None:
    bodies = Bodies(limit=4)
    if taken:
        assert await bodies.whole(pieces(*body), announced, LARGE) == b"".join(body)
    else:
        with pytest.raises(ManifestTooLarge):
            await bodies.whole(pieces(*body), announced, LARGE)


async def test_all_that_come_at_once_share_a_budget() -> None:
    bodies = Bodies(limit=4, budget=10)
    goes_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"1234"
        await goes_on.wait()

    waiting = [asyncio.create_task(bodies.whole(slow(), 0, LARGE)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await bodies.whole(pieces(b"12", b"3"), 0, LARGE)
    assert await bodies.whole(pieces(b"12"), 0, LARGE) == b"12"
    goes_on.set()
    assert await asyncio.gather(*waiting) == [b"1234"] * 2
    assert await bodies.whole(pieces(b"1234"), 0, LARGE) == b"1234", "the budget was not given back"


async def test_a_failure_gives_its_share_back() -> None:
    bodies = Bodies(limit=4, budget=4)

    async def broken() -> AsyncIterator[bytes]:
        yield b"1234"
        raise ConnectionResetError

    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            await bodies.whole(broken(), 0, LARGE)
    assert await bodies.whole(pieces(b"1234"), 0, LARGE) == b"1234"
