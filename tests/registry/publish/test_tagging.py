"""Moves of tags over both kinds of a store: whoever comes at once, an immutable tag is set by one."""

from __future__ import annotations

from functools import partial

import pytest

from registry.publish import tagging
from registry.publish.push import Push
from registry.publish.tagging import ANY, UNCONDITIONAL, Conditions, Moves, is_immutable
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Driver
from storage.errors import ManifestUnknown, PreconditionFailed, StoreUnavailable, TagImmutable
from storage.paths import tag as tag_key
from storage.repositories import Repository
from storage.store import Store
from tests.storage.both import Drivers, opener, over_both
from tests.storage.content import image, put
from tests.storage.streams import outcome, together

ONE, TWO = image(annotations={"number": "1"}), image(annotations={"number": "2"})
FIRST, SECOND = Digest.of(ONE), Digest.of(TWO)
HELD = ("v*",)
SIGNED = f"sha256-{FIRST.hex}.sig"


@pytest.fixture
def drivers(request: pytest.FixtureRequest) -> Drivers:
    return opener(request)


def over(driver: Driver) -> Repository:
    return Store(driver, upload_limit=1 << 20).repository("team/a")


@pytest.fixture
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return over(DiskDriver(tmp_path_factory.mktemp("store")))


async def push(
    repository: Repository,
    body: bytes,
    *tags: str,
    immutable: tuple[str, ...] = HELD,
    conditions: Conditions = UNCONDITIONAL,
    by: str = "",
    late: bool = False,
) -> dict[str, Digest]:
    """Let a manifest have tags as a push of it does; `late` is one that looked before all others came."""
    wanted = Push(tags[0], "", body, tags[1:], conditions, by)
    moves = Moves(repository, wanted, Digest.of(body), immutable)
    if not late:
        await moves.check()
    stored = await put(repository, body)
    return await moves.make(stored.descriptor)


@pytest.mark.parametrize(
    ("tag", "patterns", "held"),
    [
        ("v1", ("v*",), True),
        ("latest", ("v*",), False),
        ("1.2-rc", ("v*", "*.*"), True),
        ("v1", (), False),
        (SIGNED, ("*",), False),
        (f"sha256-{FIRST.hex}", ("*",), False),
        (f"sha256-{FIRST.hex}.exe", ("*",), True),
    ],
)
def test_which_tags_never_move(tag: str, patterns: tuple[str, ...], held: bool) -> None:
    assert is_immutable(tag, patterns) is held


@over_both
async def test_of_many_at_once_one_sets_an_immutable_tag(drivers: Drivers) -> None:
    """Each through a driver of its own, as another process would, all having seen that there is no tag."""
    bodies = [image(annotations={"number": str(number)}) for number in range(12)]
    found = await together(
        *(partial(push, over(drivers()), body, "v1", late=True) for body in bodies),
        *(partial(push, over(drivers()), bodies[0], "v1", late=True) for _ in range(2)),
    )
    named = (await over(drivers()).tags.resolve("v1"))[0].digest
    winner = [Digest.of(body) for body in bodies].index(named)
    assert [at for at, one in enumerate(found[:12]) if one == {}] == [winner]
    assert {one for at, one in enumerate(found[:12]) if at != winner} == {TagImmutable}
    assert found[12:] == [{} if winner == 0 else TagImmutable] * 2
    assert (await over(drivers()).tags.history("v1")).former == ()


@over_both
@pytest.mark.parametrize("there", [False, True], ids=["no tag", "a tag"])
async def test_of_many_with_the_same_condition_one_passes(drivers: Drivers, there: bool) -> None:
    repository = over(drivers())
    if there:
        await push(repository, ONE, "latest")
    asked = Conditions(match=frozenset({str(FIRST)})) if there else Conditions(none_match=frozenset({ANY}))
    bodies = [image(annotations={"other": str(number)}) for number in range(12)]
    found = await together(
        *(partial(push, over(drivers()), body, "latest", conditions=asked) for body in bodies)
    )
    passed = [at for at, one in enumerate(found) if one is not PreconditionFailed]
    assert [found[at] for at in passed] == [{"latest": FIRST} if there else {}]
    named = (await repository.tags.resolve("latest"))[0].digest
    assert named == Digest.of(bodies[passed[0]])
    assert len((await repository.tags.history("latest")).former) == there


@over_both
async def test_the_same_again_is_fine_and_another_is_not(drivers: Drivers) -> None:
    repository = over(drivers())
    for late in (False, True):
        assert await push(repository, ONE, "v1", late=late) == {}
    for late in (False, True):
        with pytest.raises(TagImmutable) as raised:
            await push(repository, TWO, "v1", late=late)
    assert str(FIRST) in raised.value.message
    assert raised.value.fix == "Push under a new tag."
    assert len(str(raised.value)) <= 200
    (said,) = raised.value.detail  # type: ignore[misc]
    assert (said["code"], said["digest"]) == ("tag-immutable", str(FIRST))
    assert (await repository.tags.resolve("v1"))[0].digest == FIRST


async def test_a_push_that_is_refused_has_set_no_other_tag(repository: Repository) -> None:
    await push(repository, ONE, "v2")
    for late in (False, True):
        assert await outcome(push(repository, TWO, "latest", "v2", late=late)) is TagImmutable
        assert await repository.tags.held("latest") is None


async def test_what_tags_named_before_is_told(repository: Repository) -> None:
    assert await push(repository, ONE, "latest", "edge", SIGNED, by="alice") == {}
    assert await push(repository, ONE, "latest") == {}
    told = await push(repository, TWO, "latest", "new", SIGNED, immutable=("*-*",), by="bob")
    assert told == {"latest": FIRST, SIGNED: FIRST}
    history = await repository.tags.history("latest")
    assert (history.by, [one.by for one in history.former]) == ("bob", ["alice"])


async def test_of_a_damaged_tag_it_is_not_known_whether_it_moves(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    driver = DiskDriver(tmp_path_factory.mktemp("store"))
    for tag in ("v1", "latest"):
        await driver.put(tag_key("team/a", tag), b"{")
    repository = over(driver)
    assert await outcome(push(repository, ONE, "v1")) is StoreUnavailable
    any_one = Conditions(none_match=frozenset({ANY}))
    assert await outcome(push(repository, ONE, "latest", conditions=any_one)) is StoreUnavailable
    assert await push(repository, ONE, "latest") == {}


@pytest.mark.parametrize(
    ("match", "none_match", "named", "holds"),
    [
        (None, None, None, True),
        ({ANY}, None, FIRST, True),
        ({ANY}, None, None, False),
        ({str(FIRST)}, None, FIRST, True),
        ({str(SECOND), str(FIRST)}, None, FIRST, True),
        ({str(SECOND)}, None, FIRST, False),
        ({str(FIRST)}, None, None, False),
        (set(), None, FIRST, False),
        (None, {ANY}, None, True),
        (None, {ANY}, FIRST, False),
        (None, {str(FIRST)}, FIRST, False),
        (None, {str(SECOND)}, FIRST, True),
        (None, {str(SECOND)}, None, True),
        ({ANY}, {str(FIRST)}, FIRST, False),
        ({str(FIRST)}, {str(SECOND)}, FIRST, True),
    ],
)
def test_conditions(
    match: set[str] | None, none_match: set[str] | None, named: Digest | None, holds: bool
) -> None:
    asked = Conditions(*(None if one is None else frozenset(one) for one in (match, none_match)))
    if holds:
        asked.must_hold("the tag", named)
        return
    with pytest.raises(PreconditionFailed) as raised:
        asked.must_hold("the tag", named)
    assert ("is not there" if named is None else str(named)) in raised.value.message
    assert raised.value.fix


async def test_conditions_on_a_digest_are_those_of_its_manifest(repository: Repository) -> None:
    async def push_by_digest(conditions: Conditions) -> None:
        wanted = Push(FIRST, "", ONE, ("latest",), conditions)
        await Moves(repository, wanted, FIRST).check()

    await put(repository, TWO, "latest")
    new, known = Conditions(none_match=frozenset({ANY})), Conditions(match=frozenset({ANY}))
    await push_by_digest(new)
    assert await outcome(push_by_digest(known)) is PreconditionFailed
    await put(repository, ONE)
    await push_by_digest(known)
    assert await outcome(push_by_digest(new)) is PreconditionFailed


async def test_an_immutable_tag_is_not_deleted(repository: Repository) -> None:
    await put(repository, ONE, "v1", "latest")
    await put(repository, TWO, "edge")
    for reference in ("v1", FIRST):
        with pytest.raises(TagImmutable) as raised:
            await tagging.remove(repository, reference, immutable=HELD)
        assert "tags.immutable" in raised.value.fix
        assert str(FIRST) in raised.value.message
    assert (await repository.tags.page()).names == ("edge", "latest", "v1")
    assert await repository.get(FIRST)
    for absent in ("v9", Digest.of(b"")):
        assert await outcome(tagging.remove(repository, absent, immutable=HELD)) is ManifestUnknown
    await tagging.remove(repository, "latest", immutable=HELD)
    await tagging.remove(repository, SECOND, immutable=HELD)
    assert (await repository.tags.page()).names == ("v1",)
    await tagging.remove(repository, FIRST)
    assert (await repository.tags.page()).names == ()
