"""The ledger against a model: some who write and remove at the same time, and may end at any point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.quota import ledger as ledgers
from storage.quota.ledger import Count, Ledger, NoRoom, Open

ALLOWED = 100
SIZES = {"a": 10, "b": 35, "c": 60, "d": 0}
UPLOAD = "uploads/sha256-0.1"


@dataclass
class World:
    """What is there, a ledger of it, and what each actor holds open and wants."""

    there: set[str] = field(default_factory=set)
    ledger: Ledger = field(default_factory=lambda: Ledger(counted=0.0))
    held: dict[str, tuple[str, bool]] = field(default_factory=dict)
    now: float = 0.0

    def begin(self, actor: str, key: str, adds: bool) -> None:
        if actor in self.held or not (adds or key in self.there):
            return
        self.settle()
        try:
            self.ledger = self.ledger.begun(
                actor, {key: SIZES[key]}, self.there, self.now + 10, allowed=ALLOWED if adds else None
            )
        except NoRoom as refused:
            assert refused.used == self.ledger.used
            assert refused.used + refused.size > ALLOWED
            return
        self.held[actor] = key, adds

    def act(self, actor: str) -> None:
        if actor in self.held:
            key, adds = self.held[actor]
            (self.there.add if adds else self.there.discard)(key)

    def end(self, actor: str) -> None:
        if actor in self.held:
            key, _ = self.held.pop(actor)
            self.settle()
            self.ledger = self.ledger.ended(actor, [key], self.there)

    def die(self, actor: str) -> None:
        self.held.pop(actor, None)

    def settle(self) -> None:
        self.ledger = self.ledger.settled(self.now, self.there)

    def is_right(self) -> None:
        sure = {key for key in self.there if key not in self.ledger.open}
        opened = sum(one.size for one in self.ledger.open.values())
        assert self.ledger.used == sum(SIZES[key] for key in sure) + opened
        assert sum(SIZES[key] for key in self.there) <= self.ledger.used <= ALLOWED


actors = st.sampled_from(["x", "y", "z"])
moves = st.one_of(
    st.tuples(st.just("begin"), actors, st.sampled_from([*SIZES]), st.booleans()),
    st.tuples(st.sampled_from(["act", "end", "die"]), actors),
)


@given(st.lists(moves, max_size=40))
def test_the_sum_is_right_whoever_ends_in_the_middle(story: Sequence[tuple[str, ...]]) -> None:
    world = World()
    for move, *said in story:
        getattr(world, move)(*said)
        world.is_right()
    for actor in [*world.held]:
        world.die(actor)
    world.now += 11
    world.settle()
    world.is_right()
    assert not world.ledger.open
    assert world.ledger.used == sum(SIZES[key] for key in world.there)


@given(st.lists(moves, max_size=15), st.lists(moves, max_size=15))
def test_a_count_is_right_whatever_changes_meanwhile(
    before: Sequence[tuple[str, ...]], meanwhile: Sequence[tuple[str, ...]]
) -> None:
    world = World()
    for move, *said in before:
        getattr(world, move)(*said)
    expected = world.ledger.used
    world.ledger = Ledger(used=7777, open=world.ledger.open).counting("me", 1000.0)
    # What a walk meets of what changes under it: each object as it is at some moment.
    met: dict[str, int] = {}
    for at, key in enumerate(SIZES):
        for move, *said in meanwhile[at * 3 : at * 3 + 3]:
            getattr(world, move)(*said)
        if key in world.there:
            met[key] = SIZES[key]
    for move, *said in meanwhile[3 * len(SIZES) :]:
        getattr(world, move)(*said)
    world.ledger = world.ledger.counted_anew(
        "me", sum(met.values()), lambda key: met.get(key, 0), world.there, 5.0
    )
    assert (world.ledger.counted, world.ledger.count) == (5.0, None)
    if not meanwhile:
        assert world.ledger.used == expected
    world.is_right()


def test_what_is_here_already_takes_no_more_room() -> None:
    full = Ledger(used=ALLOWED)
    again = full.begun("x", {"a": 10}, {"a"}, 10.0, allowed=ALLOWED)
    assert again.ended("x", ["a"], {"a"}) == full


def test_two_who_bring_the_same_take_its_room_once() -> None:
    both = Ledger().begun("x", {"c": 60}, (), 10.0, allowed=ALLOWED)
    both = both.begun("y", {"c": 60}, (), 10.0, allowed=ALLOWED)
    assert both.used == 60
    assert both.ended("x", ["c"], ()).used == 60
    assert both.ended("x", ["c"], ()).ended("y", ["c"], ()).used == 0


def test_an_upload_counts_until_it_is_what_it_becomes() -> None:
    begun = Ledger(used=40).begun(UPLOAD, {UPLOAD: 50}, (), 10.0, allowed=ALLOWED)
    with pytest.raises(NoRoom):
        begun.begun("x", {"b": 35}, (), 10.0, allowed=ALLOWED)
    assert begun.begun(UPLOAD, {UPLOAD: 60}, (), 10.0, allowed=ALLOWED).used == ALLOWED
    became = begun.begun("x", {"c": 50}, (), 10.0, allowed=ALLOWED, instead=[UPLOAD])
    assert (became.used, [*became.open]) == (90, ["c"])


def test_a_quota_that_was_lowered_takes_nothing_more_and_lets_go() -> None:
    over = Ledger(used=150)
    with pytest.raises(NoRoom):
        over.begun("x", {"a": 1}, (), 10.0, allowed=ALLOWED)
    empty = over.begun("x", {"d": 0}, (), 10.0, allowed=ALLOWED)
    assert empty.used == 150
    assert over.begun("x", {"c": 60}, {"c"}, 10.0).ended("x", ["c"], ()).used == 90


def test_what_lapsed_is_looked_at() -> None:
    opened = Ledger(open={"a": Open(10, {"x": 5.0, "y": 20.0}), "b": Open(35, {"x": 5.0})}, used=45)
    assert opened.lapsed(10.0) == ["b"]
    assert opened.settled(10.0, ()).used == 10
    assert opened.settled(10.0, {"b"}).used == 45


def test_a_count_that_nobody_goes_on_with_is_forgotten() -> None:
    assert Ledger().counting("me", 5.0).settled(6.0, ()).count is None


def test_a_count_of_somebody_else_changes_nothing() -> None:
    counting = Ledger(used=1).counting("me", 5.0)
    assert counting.counted_anew("you", 100, lambda _: 0, (), 1.0) is counting


def test_with_too_many_changes_a_count_is_given_up() -> None:
    counting = Ledger().counting("me", 5.0)
    many = {f"repositories/a/_blobs/{number}": 1 for number in range(ledgers.MOST_TOUCHED + 1)}
    assert counting.begun("x", many, (), 10.0).count is None


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger(),
        Ledger(12, {"a": Open(10, {"x": 5.0})}, 3.5, Count("me", 9.0, {"a": 10}), 4),
    ],
)
def test_it_is_read_as_it_was_written(ledger: Ledger) -> None:
    assert ledgers.read(ledgers.written(ledger, "team-a/**"), "quotas/1") == ledger


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"used": "x"}', b'{"used":1,"version":1,"open":[]}'])
def test_what_is_damaged_was_never_counted(data: bytes) -> None:
    assert ledgers.read(data, "quotas/1") == Ledger()
