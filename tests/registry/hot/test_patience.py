import asyncio
import socket

import pytest

from registry.hot.patience import Pace, Patience, Stall, Watch, unsent

PATIENCE = Patience(min_rate=100, rate_window=10, stall_seconds=10)


@pytest.mark.parametrize(
    ("came", "verdicts"),
    [
        pytest.param([0, 0], [False, True], id="nothing"),
        pytest.param([999, 0], [False, True], id="too little"),
        pytest.param([1000, 0], [False, False], id="enough at first"),
        pytest.param([1000, 0, 0, 0], [False, False, False, True], id="nothing any more"),
        pytest.param([500] * 6, [False] * 6, id="steady"),
    ],
)
def test_pace_is_judged_by_the_window(came: list[int], verdicts: list[bool]) -> None:
    pace = Pace()
    seen = []
    for count in came:
        pace.came(count)
        seen.append(pace.too_slow(5, PATIENCE))
    assert seen == verdicts


@pytest.mark.parametrize(
    ("looks", "verdicts"),
    [
        pytest.param([(5, 100), (9, 100), (10, 100)], [False, False, True], id="nothing read"),
        pytest.param([(9, 99), (18, 99), (19, 99)], [False, False, True], id="read once"),
        pytest.param([(9, 99), (18, 98), (27, 97)], [False, False, False], id="read slowly"),
        pytest.param([(5, 200), (10, 200)], [False, True], id="more was written"),
        pytest.param([(5, 200), (10, 150), (15, 150)], [False, False, False], id="more was written and read"),
    ],
)
def test_a_stall_is_judged_by_what_is_under_way(looks: list[tuple[float, int]], verdicts: list[bool]) -> None:
    stall = Stall(0, 100)
    assert [stall.lasts(now, pending, PATIENCE) for now, pending in looks] == verdicts


class Looked:
    def __init__(self) -> None:
        self.looks: asyncio.Queue[tuple[float, float]] = asyncio.Queue()

    def look(self, now: float, elapsed: float) -> None:
        self.looks.put_nowait((now, elapsed))

    def leave(self) -> bool:
        return False


class Leaving(Looked):
    """One that rests or is busy, and notes that it leaves."""

    def __init__(self, watch: Watch, *, rests: bool) -> None:
        super().__init__()
        self.watch = watch
        self.rests = rests

    def leave(self) -> bool:
        if self.rests:
            self.watch.discard(self)
        return self.rests


async def test_of_too_many_the_oldest_that_rests_makes_room() -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(60.0, most=3)
    busy, old, new = (Leaving(watch, rests=rests) for rests in (False, True, True))
    for one in (busy, old, new):
        watch.add(one, loop)
    assert len(watch) == 3
    watch.add(other := Leaving(watch, rests=False), loop)
    assert [one in watch._connections for one in (busy, old, new, other)] == [True, False, True, True]
    new.rests = False
    watch.add(Leaving(watch, rests=False), loop)
    assert len(watch) == 4


async def test_one_timer_looks_at_all_and_rests_without_connections() -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(0.005)
    one, other = Looked(), Looked()
    watch.add(one, loop)
    watch.add(other, loop)
    for _ in range(3):
        look = await one.looks.get()
        assert look == await other.looks.get()
        assert look[1] > 0
    watch.discard(one)
    watch.discard(other)
    await asyncio.sleep(0.05)
    assert one.looks.empty()
    watch.add(one, loop)
    await one.looks.get()
    watch.discard(one)
    assert len(watch) == 0


async def test_what_the_peer_has_not_taken_is_seen_in_the_kernel_too() -> None:
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
    try:
        assert unsent(transport) == 0
        transport.write(b"x" * 1000)
        assert unsent(transport) >= 1000
        right.recv(1000)
        assert unsent(transport) == 0
    finally:
        transport.close()
        right.close()
        await asyncio.sleep(0)
