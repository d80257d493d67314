from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import paths, records
from storage import tags as under_test
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository
from storage.store import Store
from storage.tags import Tags
from tests.storage.streams import outcome
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
    assert await driver.get(paths.tag("team/a", "v1")) == records.write_descriptor(ONE)


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
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        assert found[0] is None
        assert found[1] in (None, ManifestUnknown)
        assert await outcome(tags.resolve("v1")) is ManifestUnknown
