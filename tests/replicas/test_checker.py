"""The checker itself: histories made by hand that the promises allow, and ones that they do not."""

from __future__ import annotations

from math import inf

import pytest

from tests.replicas.checker import AFTERMATH, DOUBT, LATE, faults
from tests.replicas.history import Change, History, Past, Seen, Span, Unavailable

HERE, THERE = 0, 1
"""The replica that is asked, and another one."""


def at(began: float, ended: float | None = None, replica: int = HERE) -> Span:
    return Span(began, began + 0.1 if ended is None else ended, replica)


def put(digest: str, when: Span, tag: str = "t", known: bool = True) -> Change:
    return Change(when, "r", "put", digest, tag, known)


def untag(when: Span, known: bool = True) -> Change:
    return Change(when, "r", "untag", tag="t", known=known)


def delete(digest: str, when: Span, known: bool = True) -> Change:
    return Change(when, "r", "delete", digest, known=known)


def saw(digest: str | None, when: Span, name: str = "t", *, fresh: bool = False) -> Seen:
    return Seen(when, "r", name, digest, fresh=fresh)


Case = tuple[list[Change], list[Seen]]

ALLOWED: dict[str, Case] = {
    "nothing, before anything": ([], [saw(None, at(0))]),
    "what was put": ([put("a", at(0))], [saw("a", at(1)), saw("a", at(1), "a")]),
    "what is being put": ([put("a", at(0, 9))], [saw("a", at(1)), saw(None, at(1)), saw("a", at(1), "a")]),
    "either of two puts at once": (
        [put("a", at(0, 5)), put("b", at(4, 6, THERE))],
        [saw("a", at(9)), saw("b", at(9))],
    ),
    "what another replica has replaced, for a while": (
        [put("a", at(0)), put("b", at(10, replica=THERE))],
        [saw("a", at(10.1 + LATE - 0.01)), saw("b", at(10.2))],
    ),
    "what another replica has deleted, for a while": (
        [put("a", at(0)), delete("a", at(10, replica=THERE))],
        [saw("a", at(11)), saw("a", at(11), "a"), saw(None, at(11)), saw(None, at(99), "a")],
    ),
    "an answer from before, of a request that lasted": (
        [put("a", at(0)), put("b", at(10))],
        [saw("a", at(9.9, 20))],
    ),
    "a put without an answer": (
        [put("a", at(0)), put("b", at(5), known=False)],
        [saw("a", at(1)), saw("a", at(99)), saw("b", at(6)), saw("b", at(99)), saw(None, at(9), "b")],
    ),
    "a put without an answer that comes to pass after the next one": (
        [put("b", at(5), known=False), put("a", at(6))],
        [saw("b", at(9)), saw("a", at(9))],
    ),
    "a delete without an answer": (
        [put("a", at(0)), delete("a", at(5), known=False)],
        [saw("a", at(50)), saw(None, at(50)), saw(None, at(50), "a"), saw("a", at(50), "a")],
    ),
    "a tag that goes with its manifest, or was moved before": (
        [put("a", at(0)), put("b", at(1, 9)), delete("a", at(2, 3))],
        [saw(None, at(4)), saw("b", at(4)), saw("b", at(10))],
    ),
    "put again after a delete": (
        [put("a", at(0)), delete("a", at(1)), put("a", at(2))],
        [saw("a", at(9)), saw("a", at(9), "a"), saw(None, at(1.5))],
    ),
    "untagged, and the manifest stays": (
        [put("a", at(0)), untag(at(1))],
        [saw(None, at(2)), saw("a", at(9), "a")],
    ),
}

REFUSED: dict[str, Case] = {
    "what nobody put": ([put("a", at(0))], [saw("b", at(1))]),
    "what is put only later": ([put("a", at(5))], [saw("a", at(1))]),
    "an acknowledged push that is not there": ([put("a", at(0))], [saw(None, at(1))]),
    "its manifest is not there": ([put("a", at(0))], [saw(None, at(1), "a")]),
    "nor at another replica, not even for a while": (
        [put("a", at(0, replica=THERE))],
        [saw(None, at(0.2))],
    ),
    "a tag that moved is not there for a while": (
        [put("a", at(0)), put("b", at(5, replica=THERE))],
        [saw(None, at(5.2))],
    ),
    "what the same replica has replaced": ([put("a", at(0)), put("b", at(5))], [saw("a", at(5.2))]),
    "what another one has replaced, for too long": (
        [put("a", at(0)), put("b", at(5, replica=THERE))],
        [saw("a", at(5.2 + LATE))],
    ),
    "late, by one who asks the store": (
        [put("a", at(0)), put("b", at(5, replica=THERE))],
        [saw("a", at(5.2), fresh=True)],
    ),
    "what was deleted": ([put("a", at(0)), delete("a", at(5))], [saw("a", at(6), "a")]),
    "a tag of what was deleted": ([put("a", at(0)), delete("a", at(5))], [saw("a", at(6))]),
    "what was untagged": ([put("a", at(0)), untag(at(5))], [saw("a", at(6))]),
    "what came back": ([put("a", at(0)), put("b", at(5)), put("c", at(9))], [saw("a", at(20))]),
    "what an older push without an answer cannot undo any more": (
        [put("b", at(0), known=False), put("a", at(1 + DOUBT))],
        [saw("b", at(2 + DOUBT))],
    ),
    "gone by the delete of another one": (
        [put("a", at(0)), put("b", at(5)), delete("a", at(6))],
        [saw(None, at(9), "b")],
    ),
    "gone by a delete that was before": (
        [put("a", at(0)), delete("a", at(1)), put("a", at(2))],
        [saw(None, at(9)), saw(None, at(9), "a")],
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    changes, seen = ALLOWED[name]
    assert faults(History(changes=changes, seen=seen)) == []


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    changes, seen = REFUSED[name]
    for one in seen:
        assert len(faults(History(changes=changes, seen=[one]))) == 1, one


def test_repositories_are_apart() -> None:
    elsewhere = Seen(at(1), "other", "t", "a")
    assert faults(History(changes=[put("a", at(0))], seen=[elsewhere]))


def test_a_part_that_is_missing_is_told() -> None:
    lacking = Seen(at(1), "r", "a", None, of="blobs/sha256:0")
    (fault,) = faults(History(changes=[put("a", at(0))], seen=[lacking]))
    assert "lacked blobs/sha256:0" in fault


def test_retention() -> None:
    """What was not pushed for a while may go: the tag, and the manifest; and may as well stay."""
    changes = [put("a", at(0)), put("b", at(5), "u")]
    ages = {"fading": frozenset({"r"}), "fades": 10.0}
    late = [saw(None, at(10)), saw(None, at(10), "a"), saw("a", at(99)), saw("a", at(99), "a")]
    assert faults(History(changes=changes, seen=late, **ages)) == []
    for one in (saw(None, at(9)), saw(None, at(9), "a"), saw(None, at(14), "b")):
        assert len(faults(History(changes=changes, seen=[one], **ages))) == 1, one
    again = [*changes, put("a", at(8))]
    assert len(faults(History(changes=again, seen=[saw(None, at(12))], **ages))) == 1


def test_unavailable() -> None:
    """Around a kill one may be told to come again, and only so."""
    kills = [100.0]
    around = [Unavailable(at(99.9, 100.1), "GET", said=True), Unavailable(at(101), "GET", said=True)]
    assert faults(History(unavailable=around, kills=kills)) == []
    for one in (
        Unavailable(at(101), "GET", said=False),
        Unavailable(at(101 + AFTERMATH), "GET", said=True),
        Unavailable(at(90), "GET", said=True),
    ):
        assert len(faults(History(unavailable=[one], kills=kills))) == 1, one


def test_what_writers_found_counts() -> None:
    assert faults(History(faults=["it is wrong"])) == ["it is wrong"]


def past(*named: tuple[str, float, float], full: bool = False) -> Past:
    return Past("r", "t", named, full)


WHOLE = past(("b", 5.05, inf), ("a", -inf, 5.05))
MOVED = [put("a", at(0)), put("b", at(5))]


def test_a_tag_knows_what_it_named() -> None:
    assert faults(History(changes=MOVED, pasts=[WHOLE])) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([*MOVED, put("c", at(7))], past(("b", 5.05, inf), ("a", -inf, 5.05))),
        (MOVED, past(("b", -inf, inf))),
        (MOVED, past(("a", 3.0, inf), ("b", -inf, 3.0))),
        ([put("a", at(0)), put("b", at(5)), put("a", at(9))], WHOLE),
    ],
    ids=["a move is lost", "the first one is lost", "in another order", "it came back"],
)
def test_a_lost_move(changes: list[Change], found: Past) -> None:
    assert len(faults(History(changes=changes, pasts=[found]))) >= 1


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([*MOVED, untag(at(9)), put("c", at(10))], past(("c", -inf, inf))),
        ([*MOVED, delete("b", at(9)), put("c", at(10))], past(("c", -inf, inf))),
        ([*MOVED, put("c", at(10), known=False)], WHOLE),
        (
            [*MOVED, put("b", at(6.5)), put("c", at(6, 7))],
            past(("c", 6.1, inf), ("b", 5.05, 6.1), *WHOLE.named[1:]),
        ),
        ([put("a", at(0)), *MOVED[1:], put("c", at(8))], past(("c", 8.0, inf), ("b", 5.05, 8.0), full=True)),
    ],
    ids=[
        "untagged since",
        "deleted since",
        "in doubt",
        "named again while another one writes",
        "as much as it remembers",
    ],
)
def test_a_move_that_need_not_be_known(changes: list[Change], found: Past) -> None:
    assert faults(History(changes=changes, pasts=[found])) == []
