from __future__ import annotations

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.pulls import Pull
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import objects
from tests.storage.content import image, put
from tests.storage.gc.scene import aged, collected, collector, filled

pytestmark = pytest.mark.usefixtures("unsynced", "in_turn")

GONE = Digest.of(b"gone")
PULL = Pull("user:alice", "crane", 1)


async def noted(store: Store, repository: Repository) -> Digest:
    """A manifest that was pulled, beside one that was and is gone."""
    await filled(repository)
    kept = (await put(repository, image(), "v1")).digest
    for digest in (kept, GONE):
        await store.pulls("team/a").note(digest, [PULL])
    return kept


async def test_pulls_of_what_is_gone_go_and_others_stay(
    driver: DiskDriver, store: Store, repository: Repository
) -> None:
    kept = await noted(store, repository)
    await store.pulls("team-x/y.z").note(GONE, [PULL])
    aged(driver, 400)
    await collected(driver)
    assert {key for key in objects(driver) if key.startswith("pulls/")} == {paths.pulls("team/a", str(kept))}


async def test_what_was_pulled_lately_stays(driver: DiskDriver, store: Store, repository: Repository) -> None:
    await noted(store, repository)
    aged(driver, 0.9)
    await collected(driver)
    assert await store.pulls("team/a").of(GONE) == (PULL,)


async def test_a_dry_run_takes_nothing(driver: DiskDriver, store: Store, repository: Repository) -> None:
    await noted(store, repository)
    aged(driver, 2)
    await collector(driver).run(dry=True)
    assert await store.pulls("team/a").of(GONE) == (PULL,)


async def test_what_lies_there_by_mistake_is_left_alone(driver: DiskDriver) -> None:
    await Store(driver, upload_limit=1).open()
    await driver.put("pulls/team.a/x", b"")
    aged(driver, 2)
    await collected(driver)
    assert "pulls/team.a/x" in objects(driver)
