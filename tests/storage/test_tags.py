from __future__ import annotations

import os
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import paths, records
from storage import tags as under_test
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectChanged
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository
from storage.store import Store
from storage.tags import HISTORY, MOST, Former, History, Tags
from tests.storage.streams import outcome, together
from tests.storage.turns import Turns

ONE, TWO = (Descriptor(OCI_MANIFEST, Digest.of(bytes([at])), at) for at in range(2))


@pytest.fixture
def tags(repository: Repository) -> Tags:
    return repository.tags


async def test_a_tag_comes_moves_and_goes(tags: Tags, driver: DiskDriver) -> None:
    await tags.put("v1", ONE)
    found, witness = await tags.resolve("v1")
    assert (found, witness.holds(driver)) == (ONE, True)
    await tags.put("v1", TWO)
    assert ((await tags.resolve("v1"))[0], witness.holds(driver)) == (TWO, False)
    await tags.delete("v1")
    for gone in (tags.resolve, tags.delete):
        with pytest.raises(ManifestUnknown) as raised:
            await gone("v1")
        assert "v1" in raised.value.message


async def test_a_tag_keeps_no_more_than_names_the_manifest(tags: Tags, driver: DiskDriver) -> None:
    await tags.put("v1", Descriptor(ONE.media_type, ONE.digest, ONE.size, "kind", {"a": "b" * 1000}))
    key = paths.tag("team/a", "v1")
    found = records.read(await driver.get(key), key)
    assert isinstance(found.pop("since"), float)
    assert found == ONE.to_json()


def at_time(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(under_test.time, "time", lambda: now)


async def test_a_tag_remembers_what_it_named(
    tags: Tags, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_time(monkeypatch, 1000.0)
    await tags.put("v1", ONE, by="alice")
    assert await tags.history("v1") == History(ONE, by="alice", since=1000.0)
    at_time(monkeypatch, 2000.0)
    await tags.put("v1", TWO, by="bob")
    await tags.put("v1", TWO, by="carol")
    at_time(monkeypatch, 3000.25)
    await tags.put("v1", ONE)
    former = (Former(TWO, 3000.25, "bob", 2000.0), Former(ONE, 2000.0, "alice", 1000.0))
    assert await tags.history("v1") == History(ONE, former, since=3000.25)
    first, _ = records.split(await driver.get(paths.tag("team/a", "v1")))
    assert records.read_descriptor(first, "") == ONE
    found, witness = await tags.resolve("v1")
    assert (found, witness.content, witness.holds(driver)) == (ONE, first, True)
    with pytest.raises(ManifestUnknown):
        await tags.history("v2")


async def test_a_history_has_an_end(tags: Tags, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [Descriptor(OCI_MANIFEST, Digest.of(b"%d" % at), at) for at in range(MOST + 20)]
    for at, one in enumerate(several):
        at_time(monkeypatch, 1000.0 + at)
        await tags.put("v1", one, by="b" * 1000)
    found = await tags.history("v1")
    assert [former.descriptor for former in found.former] == several[-2 : -MOST - 2 : -1]
    assert len(await driver.get(paths.tag("team/a", "v1"))) < 64 << 10
    at_time(monkeypatch, 1000.0 + HISTORY + 60)
    assert len((await tags.history("v1")).former) == 60
    await tags.put("v1", ONE)
    assert len((await tags.history("v1")).former) == 61
    at_time(monkeypatch, 1000.0 + HISTORY + 65)
    await Tags(driver, "team/a", history=1.0).put("v1", TWO)
    assert len((await tags.history("v1")).former) == 1


async def test_what_is_still_answered_is_remembered(tags: Tags, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [Descriptor(OCI_MANIFEST, Digest.of(b"%d" % at), at) for at in range(MOST + 20)]
    first = several[0].digest
    for at, one in enumerate(several):
        at_time(monkeypatch, 1000.0 + at)
        await tags.settle("v1", one, await tags.held("v1"), answered=first)
    found, _ = await tags.whole("v1")
    assert len(found.former) == MOST
    assert [former.descriptor for former in found.former[:2]] == several[-2:-4:-1]
    assert found.former[-1].descriptor.digest == first
    at_time(monkeypatch, 1000.0 + 2 * HISTORY)
    await tags.settle("v1", ONE, await tags.held("v1"), answered=first)
    found, witness = await tags.whole("v1")
    assert [former.descriptor.digest for former in found.former] == [several[-1].digest, first]
    assert (found.named, witness) == await tags.resolve("v1")
    with pytest.raises(ManifestUnknown):
        await tags.whole("v2")


async def test_a_tag_that_is_named_again_is_new(tags: Tags, driver: DiskDriver) -> None:
    for one in (ONE, TWO):
        await tags.put("v1", one)
    key = paths.tag("team/a", "v1")
    held = await driver.get(key)
    os.utime(driver.root / key, (5, 5))
    await tags.put("v1", TWO)
    assert await driver.get(key) == held
    assert (await driver.stat(key)).modified > 5


async def test_a_move_is_one_call(driver: DiskDriver) -> None:
    turns, gated = Turns.over(driver)
    tags = Tags(gated, "team/a")
    for one in (ONE, TWO):
        held = await Tags(driver, "team/a").held("v1")
        outcomes, calls = await turns.play([], partial(tags.move, "v1", one, held))
        assert (outcomes, calls) == ([True], [0])


def test_a_line_with_another_descriptor_keeps_the_rest() -> None:
    line = records.write(ONE.to_json() | {"since": 1000.0, "by": "alice"})
    found = under_test.read(under_test.described(line, TWO, "k"), "k")
    assert found == History(TWO, by="alice", since=1000.0)
    for odd in ({"since": "x"}, {"by": 7}):
        damaged = records.write(ONE.to_json() | odd)
        with pytest.raises(StoreUnavailable):
            under_test.read(damaged, "k")
        assert under_test.described(damaged, TWO, "k") == records.write_descriptor(TWO)


async def test_a_tag_of_before_has_no_time(
    tags: Tags, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.put(paths.tag("team/a", "v1"), records.write_descriptor(ONE))
    assert await tags.history("v1") == History(ONE)
    at_time(monkeypatch, 1000.0)
    await tags.put("v1", ONE, by="alice")
    assert await tags.history("v1") == History(ONE)
    await tags.put("v1", TWO, by="alice")
    assert await tags.history("v1") == History(TWO, (Former(ONE, 1000.0),), "alice", 1000.0)


async def test_whether_it_may_move_is_asked_before_each_try(tags: Tags, driver: DiskDriver) -> None:
    """Of what the tag is then, and the tag is moved from there alone."""
    await tags.put("v1", ONE)
    first, asked = await tags.held("v1"), list[Digest | None]()
    others = iter((TWO, ONE))

    def may(held: bytes | None) -> None:
        asked.append(tags.named("v1", held))

    move = tags.move

    async def late(*args: object, **said: object) -> bool:
        if (other := next(others, None)) is not None:
            await Tags(driver, "team/a").put("v1", other)
        return await move(*args, **said)  # type: ignore[arg-type]

    tags.move = late  # type: ignore[method-assign]
    three = Descriptor(OCI_MANIFEST, Digest.of(b"three"), 3)
    assert await tags.settle("v1", three, first, may=may) == ONE.digest
    assert asked == [ONE.digest, TWO.digest, ONE.digest]

    def never(held: bytes | None) -> None:
        raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        await tags.settle("v1", TWO, await tags.held("v1"), may=never)
    assert (await tags.resolve("v1"))[0] == three
    assert await tags.settle("v2", TWO, None) is None


async def test_tags_by_what_they_name(tags: Tags, driver: DiskDriver) -> None:
    for at in range(70):
        await tags.put(f"v{at:02}", ONE if at % 2 else TWO)
    await driver.put(paths.tag("team/a", "damaged"), b"{}")
    assert await tags.naming(ONE.digest) == [f"v{at:02}" for at in range(1, 70, 2)]
    await tags.delete("damaged")
    assert await tags.forget(ONE.digest, lambda tag: tag < "v05") == ["v01", "v03"]
    assert await tags.naming(ONE.digest) == ["v01", "v03"]
    assert len(await tags.naming(TWO.digest)) == 35


async def test_only_a_tag_that_is_as_it_was_moves(tags: Tags) -> None:
    assert await tags.held("v1") is None
    assert await tags.move("v1", ONE, None)
    assert not await tags.move("v1", TWO, None)
    first = await tags.held("v1")
    assert await tags.move("v1", TWO, first)
    assert not await tags.move("v1", ONE, first)
    await tags.delete("v1")
    assert not await tags.move("v1", ONE, first)
    assert await tags.held("v1") is None


@pytest.mark.usefixtures("unsynced")
async def test_no_move_is_lost_of_many_at_once(driver: DiskDriver) -> None:
    several = [Descriptor(OCI_MANIFEST, Digest.of(b"%d" % at), at) for at in range(32)]
    views = [Tags(DiskDriver(driver.root), "team/a") for _ in several]
    assert set(
        await together(*(partial(tags.put, "v1", one) for tags, one in zip(views, several, strict=True)))
    ) == {None}
    found = await views[0].history("v1")
    named = {found.named.digest, *(former.descriptor.digest for former in found.former)}
    assert named == {one.digest for one in several}


async def test_who_never_gets_through_is_told(tags: Tags, driver: DiskDriver) -> None:
    await tags.put("v1", ONE)

    async def changed(*_: object) -> None:
        raise ObjectChanged

    driver.replace = changed  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable) as raised:
        await tags.put("v1", TWO)
    assert raised.value.fix


@pytest.mark.parametrize("lines", [b"{}", b"[]", b"x", b"", b'{"until":"x"}', b'{"until":1}'], ids=str)
async def test_a_damaged_history(tags: Tags, driver: DiskDriver, lines: bytes) -> None:
    """What the tag names is known; the history is not, and the next move begins a new one."""
    await driver.put(
        paths.tag("team/a", "v1"), records.enclose(records.write_descriptor(ONE), lines + b"\n{}")
    )
    assert (await tags.resolve("v1"))[0] == ONE
    with pytest.raises(StoreUnavailable):
        await tags.history("v1")
    await tags.put("v1", TWO)
    found = await tags.history("v1")
    assert (found.named, found.former) == (TWO, ())


async def test_tags_of_a_near_repository_are_not_met(store: Store, tags: Tags) -> None:
    for name in ("team", "team/a/tags", "team/a-b", "team/b"):
        await store.repository(name).tags.put(name.replace("/", "_"), ONE)
    assert (await tags.page()).names == ()


async def test_a_damaged_tag_is_told(tags: Tags, driver: DiskDriver) -> None:
    await driver.put(paths.tag("team/a", "v1"), b"{}")
    with pytest.raises(StoreUnavailable) as raised:
        await tags.resolve("v1")
    assert paths.tag("team/a", "v1") in raised.value.message


TAGS = st.from_regex(r"[a-cA-C0-2_][a-cA-C0-2._-]{0,4}", fullmatch=True)


@pytest.mark.usefixtures("unsynced")
@given(st.sets(TAGS, max_size=12), st.one_of(TAGS, st.just("")), st.integers(1, 13))
@settings(max_examples=25)
async def test_pages_are_in_byte_order(driver: DiskDriver, wanted: set[str], after: str, limit: int) -> None:
    tags = Tags(driver, "team/pages")
    folder = paths.tags("team/pages")
    for tag in (await driver.children(folder)).names:
        await tags.delete(tag)
    for tag in wanted:
        await tags.put(tag, ONE)
    assert (await tags.page()).names == tuple(sorted(wanted))
    following = sorted(tag for tag in wanted if tag > after)
    page = await tags.page(after=after, limit=limit)
    assert (list(page.names), page.more) == (following[:limit], len(following) > limit)
    walked: list[str] = []
    more = True
    while more:
        page = await tags.page(after=walked[-1] if walked else "", limit=limit)
        walked += page.names
        more = page.more
    assert walked == sorted(wanted)


async def test_forget_takes_all_tags_of_a_digest_and_no_others(
    tags: Tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_AT_ONCE", 4)
    for at in range(11):
        await tags.put(f"t{at}", TWO if at % 5 == 0 else ONE)
    await tags.forget(ONE.digest)
    assert (await tags.page()).names == ("t0", "t10", "t5")
    await tags.forget(ONE.digest)
    await tags.forget(TWO.digest)
    assert (await tags.page()).names == ()
    await tags.forget(TWO.digest)


async def test_a_tag_that_moves_while_its_old_digest_is_forgotten_stays(driver: DiskDriver) -> None:
    for turn in range(6):
        turns, gated = Turns.over(driver)
        tags = Tags(gated, "team/a")
        await tags.put("v1", ONE)
        order = [0] * turn + [1]
        await turns.play(order, partial(tags.forget, ONE.digest), partial(tags.put, "v1", TWO))
        assert (await tags.resolve("v1"))[0] == TWO, turn


async def test_a_tag_deleted_while_it_is_forgotten(driver: DiskDriver) -> None:
    for turn in range(6):
        turns, gated = Turns.over(driver)
        tags = Tags(gated, "team/a")
        await tags.put("v1", ONE)
        found, _ = await turns.play(
            [0] * turn + [1],
            partial(tags.forget, ONE.digest),
            partial(tags.delete, "v1"),
        )
        assert found[0] == []
        assert found[1] in (None, ManifestUnknown)
        assert await outcome(tags.resolve("v1")) is ManifestUnknown


async def test_a_tag_goes_while_it_is_as_it_was_held(tags: Tags) -> None:
    await tags.put("v1", ONE)
    held = await tags.held("v1")
    assert held is not None
    await tags.put("v1", TWO)
    assert not await tags.delete_held("v1", held)
    assert (await tags.resolve("v1"))[0] == TWO
    assert await tags.delete_held("v1", await tags.held("v1") or b"")
    assert not await tags.delete_held("v1", held)
    assert await tags.held("v1") is None
