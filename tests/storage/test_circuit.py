from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from storage import circuit
from storage.circuit import LEAST, MOST, Circuit
from storage.driver import ObjectChanged, ObjectExists, ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreFull, StoreUnavailable
from tests.storage.unsteady import Clock

FAILURE = StoreUnavailable("the store is down.", fix="Start it.")
ANSWERS = [
    ObjectMissing("x"), ObjectExists("x"), ObjectChanged("x"), StageBusy(), StageMoved(3), StoreFull("full.")
]  # fmt: skip


class Store:
    """What a circuit is in front of: each probe waits until it is let `go`, and ends as `ends` says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.probes = 0
        self.ends: Exception | None = FAILURE
        self.go = asyncio.Event()
        self.circuit = Circuit(self.probe, self.clock)

    async def probe(self) -> None:
        self.probes += 1
        await self.go.wait()
        if self.ends is not None:
            raise self.ends

    def call(self, ends: BaseException | None = None, seconds: float = 0.0) -> None:
        """A call that takes so long and ends so."""
        try:
            with self.circuit.calling():
                self.clock.now += seconds
                if ends is not None:
                    raise ends
        except BaseException as error:
            assert error is ends

    async def probed(self) -> None:
        """Let the probe that is under way come to its end."""
        self.go.set()
        if self.circuit._probing is not None:
            await self.circuit._probing


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store()
    yield store
    await store.circuit.close()


async def test_a_failure_opens_it_and_an_answer_closes_it(store: Store) -> None:
    assert (store.circuit.open, store.circuit.degraded, store.circuit.answered) == (False, None, None)
    store.call(FAILURE)
    assert (store.circuit.open, store.circuit.failures) == (True, 1)
    store.clock.now += 30
    since = store.circuit.degraded
    assert since is not None
    assert abs(time.time() - 30 - since) < 10
    store.call()
    assert (store.circuit.open, store.circuit.degraded) == (False, None)
    assert (store.circuit.answered, store.circuit.failures) == (store.clock.now, 1)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda error: type(error).__name__)
async def test_what_only_a_store_that_works_says_is_an_answer(store: Store, answer: Exception) -> None:
    store.call(answer)
    assert (store.circuit.open, store.circuit.answered) == (False, store.clock.now)
    store.call(FAILURE)
    store.call(answer)
    assert not store.circuit.open


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), asyncio.CancelledError(), KeyError()],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_not_the_store_s_says_nothing(store: Store, error: BaseException) -> None:
    store.call(error)
    assert (store.circuit.open, store.circuit.answered, store.circuit.failures) == (False, None, 0)
    store.call(FAILURE)
    store.call(error)
    assert store.circuit.open


async def test_a_failure_while_others_are_answered_opens_nothing(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.circuit.calling():
        store.clock.now += 1
        store.call()
        store.clock.now += 1
        raise FAILURE
    assert (store.circuit.open, store.circuit.failures) == (False, 1)
    store.clock.now += 1
    store.call(FAILURE)
    assert store.circuit.open


async def test_probes_go_out_one_at_a_time_and_ever_more_seldom(store: Store) -> None:
    store.call(FAILURE)
    store.go.set()
    waits = []
    for number in range(7):
        began = store.clock.now
        while store.probes == number:
            assert store.circuit.refusal().retry_after in range(1, int(MOST) + 1)
            await store.probed()
            store.clock.now += 0.25
        waits.append(store.clock.now - 0.25 - began)
        store.clock.now -= 0.25
    assert waits == [LEAST, 2.0, 4.0, 8.0, MOST, MOST, MOST]
    assert store.circuit.failures == 8


async def test_a_probe_that_takes_long_is_the_only_one(store: Store) -> None:
    store.call(FAILURE)
    store.clock.now += LEAST
    for _ in range(50):
        store.circuit.nudge()
        assert store.circuit.refusal().retry_after == 1
        await asyncio.sleep(0)
        store.clock.now += LEAST
    assert store.probes == 1


@pytest.mark.parametrize("ends", [None, ObjectMissing("format")], ids=["there", "not there"])
async def test_a_probe_that_is_answered_closes_it(store: Store, ends: Exception | None) -> None:
    store.ends = ends
    store.call(FAILURE)
    store.clock.now += LEAST
    store.circuit.nudge()
    await store.probed()
    assert not store.circuit.open
    store.circuit.nudge()
    await asyncio.sleep(0)
    assert store.probes == 1, "there is nothing more to find out"


async def test_after_an_answer_it_begins_anew(store: Store) -> None:
    store.go.set()
    store.call(FAILURE)
    for _ in range(4):
        store.clock.now += MOST
        store.circuit.nudge()
        await store.probed()
    store.call()
    store.clock.now += 1
    store.call(FAILURE)
    assert store.circuit.refusal().retry_after == LEAST
    store.clock.now += LEAST
    store.circuit.nudge()
    await store.probed()
    assert store.circuit.refusal().retry_after == 2 * LEAST


async def test_a_refusal_says_when_to_come_back(store: Store) -> None:
    store.go.set()
    store.call(FAILURE)
    store.clock.now += LEAST
    store.circuit.nudge()
    await store.probed()
    store.clock.now += 0.5
    refusal = store.circuit.refusal()
    assert (refusal.retry_after, refusal.code) == (2, "UNAVAILABLE")
    assert refusal.fix
    assert store.circuit.refusal() is not refusal


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "PATIENCE", 0.01)


@pytest.mark.parametrize(("ends", "closes"), [(None, True), (ANSWERS[0], True), (FAILURE, False)], ids=str)
async def test_a_silent_store_has_failed_until_it_answers(
    store: Store, impatient: None, ends: Exception | None, closes: bool
) -> None:
    store.ends = ends
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="silent"):
            await store.circuit.ask(store.probe)
    assert (store.circuit.open, store.circuit.failures) == (True, 2)
    store.go.set()
    await asyncio.sleep(0.01)
    assert store.circuit.open is not closes


async def test_of_a_store_that_answers_others_an_answer_is_awaited(store: Store, impatient: None) -> None:
    store.ends = None
    asking = asyncio.create_task(store.circuit.ask(store.probe))
    for _ in range(5):
        await asyncio.sleep(0.005)
        store.clock.now += 1
        store.call()
    store.go.set()
    await asking
    assert not store.circuit.open


async def test_a_silence_that_begins_later_is_noticed(store: Store, impatient: None) -> None:
    asking = asyncio.create_task(store.circuit.ask(store.probe))
    await asyncio.sleep(0)
    store.clock.now += 1
    store.call()
    with pytest.raises(StoreUnavailable, match="silent"):
        await asking


async def test_a_question_that_is_given_up_is_ended(store: Store) -> None:
    asking = asyncio.create_task(store.circuit.ask(store.probe))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_is_logged_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.call(FAILURE)
    for _ in range(5):
        store.call(FAILURE)
        store.circuit.refusal()
    store.clock.now += 7
    store.call()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "the store fails, what was seen last is served: the store is down. Start it."),
        (logging.WARNING, "the store answers again after 7 s"),
    ]


async def test_close_ends_the_probe(store: Store) -> None:
    store.call(FAILURE)
    store.clock.now += LEAST
    store.circuit.nudge()
    await asyncio.sleep(0)
    await store.circuit.close()
    assert store.circuit._probing is None
