"""Mending beside a server: what it writes at the same moment is never lost, whenever that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Driver
from storage.fsck.finding import Finding, Kind
from storage.fsck.hashing import Hashed, Hashing
from storage.fsck.look import Looker
from storage.fsck.mend import Mender, Suspect
from storage.repositories import Repository
from storage.store import Store
from tests.storage.content import image, put, put_blob
from tests.storage.fsck.filled import (
    LARGE,
    LAYER,
    LIMIT,
    REPOSITORY,
    SHARED,
    Filled,
    checked,
    fill,
    told,
)
from tests.storage.turns import Turns

Story = Callable[[Repository], Awaitable[object]]
Damage = Callable[[DiskDriver, Filled], Awaitable[str]]

LAYER_KEY = paths.blob(Digest.of(LAYER))
LAYER_LINK = paths.blob_link(REPOSITORY, Digest.of(LAYER))
BODY = image(LAYER, SHARED, LARGE)


async def without_bytes(driver: DiskDriver, filled: Filled) -> str:
    await driver.delete(LAYER_KEY)
    return LAYER_LINK


async def with_wrong_bytes(driver: DiskDriver, filled: Filled) -> str:
    await driver.put(LAYER_KEY, b"lay3r")
    return LAYER_KEY


async def with_a_damaged_link(driver: DiskDriver, filled: Filled) -> str:
    await driver.put(LAYER_LINK, b"{")
    await driver.delete(LAYER_KEY)
    return LAYER_LINK


async def with_a_dangling_tag(driver: DiskDriver, filled: Filled) -> str:
    await driver.delete(paths.manifest(REPOSITORY, filled.image))
    return paths.tag(REPOSITORY, "v1")


async def with_a_damaged_tag(driver: DiskDriver, filled: Filled) -> str:
    await driver.put(paths.tag(REPOSITORY, "v1"), b"{")
    return paths.tag(REPOSITORY, "v1")


async def with_a_damaged_manifest(driver: DiskDriver, filled: Filled) -> str:
    await driver.put(paths.manifest(REPOSITORY, filled.image), b"{")
    return paths.manifest(REPOSITORY, filled.image)


async def with_a_dangling_row(driver: DiskDriver, filled: Filled) -> str:
    await driver.delete(paths.manifest(REPOSITORY, filled.referrer))
    return paths.referrer(REPOSITORY, filled.image, filled.referrer)


async def with_an_empty_entry(driver: DiskDriver, filled: Filled) -> str:
    await driver.put(paths.catalog("team/new"), b"")
    return paths.catalog("team/new")


async def push_layer(repository: Repository) -> None:
    await put_blob(repository, LAYER)


async def push_image(repository: Repository) -> None:
    await put(repository, BODY, "v1")


async def push_referrer(repository: Repository) -> None:
    stored = await repository.get("latest")
    assert stored
    first = (await repository.tags.history("latest")).former[0].descriptor
    note = image(LAYER, subject=first, kind="a/kind", annotations={"a": "ü"})
    await put(repository, note)


RACES: dict[str, tuple[Damage, Story, str]] = {
    "bytes come back": (without_bytes, push_layer, REPOSITORY),
    "right bytes come": (with_wrong_bytes, push_layer, REPOSITORY),
    "a damaged link comes right": (with_a_damaged_link, push_layer, REPOSITORY),
    "the manifest of a tag comes back": (with_a_dangling_tag, push_image, REPOSITORY),
    "a damaged tag is pushed": (with_a_damaged_tag, push_image, REPOSITORY),
    "a damaged manifest is pushed": (with_a_damaged_manifest, push_image, REPOSITORY),
    "a referrer comes back": (with_a_dangling_row, push_referrer, REPOSITORY),
    "a first push": (with_an_empty_entry, push_image, "team/new"),
}


class AtOnce(Hashing):
    """Hashes by one call of the driver: between calls a story must not wait for anything else."""

    async def hashed(self, key: str, algorithm: str) -> Hashed:
        data = await self._driver.get(key)
        return Hashed(Digest.of(data, algorithm), len(data))


async def suspects(driver: Driver, key: str) -> list[Suspect]:
    hashing = AtOnce(driver)
    looker = Looker(driver, hashing, lambda _: False)
    modified = (await driver.stat(key)).modified
    return [Suspect(finding, modified) for finding in await looker.look(key)]


async def mended(driver: Driver, found: list[Suspect]) -> list[bool]:
    hashing = AtOnce(driver)
    mender = Mender(driver, Looker(driver, hashing, lambda _: False), hashing)
    done = [await mender.mend(suspect) for suspect in found]
    await mender.settle()
    return done


@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("turn", range(0, 14, 1))
@pytest.mark.parametrize("name", RACES)
async def test_a_push_at_the_same_time_is_not_lost(driver: DiskDriver, name: str, turn: int) -> None:
    """The push begins when the mender has made `turn` calls, and ends before it goes on."""
    damage, push, where = RACES[name]
    filled = await fill(driver)
    key = await damage(driver, filled)
    turns, gated = Turns.over(driver)
    repository = Store(gated, upload_limit=LIMIT).repository(where)
    for blob in (b"{}", LAYER, SHARED, LARGE):
        if where != REPOSITORY:
            await put_blob(repository, blob)
            await driver.delete(paths.blob_link(where, Digest.of(blob)))
    found = await suspects(driver, key)
    assert len(found) == 1
    outcomes, _ = await turns.play(
        [0] * turn + [1] * 200, partial(mended, gated, found), partial(push, repository)
    )
    assert outcomes[1] is None, "the push failed"
    if push is push_layer:
        assert (await repository.blobs.open(Digest.of(LAYER))).size == len(LAYER)
        assert await driver.get(LAYER_KEY) == LAYER
    if push is push_image:
        assert (await repository.get("v1")).body == BODY
        await repository.must_exist()
    if push is push_referrer:
        assert await repository.referrers.has(filled.image, filled.referrer)
    results, _ = await checked(driver)
    ours = [key for kind, key in told(results) if kind != "incomplete-manifest"]
    assert ours == [], "what was acknowledged is not as it should be"


@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("kind", [Kind.UNREADABLE, Kind.UNLINKED, Kind.FOREIGN, Kind.LEFTOVER])
async def test_what_is_not_mended(driver: DiskDriver, kind: Kind) -> None:
    await driver.put("a", b"x")
    assert await mended(driver, [Suspect(Finding(kind, "a", "so"), None)]) == [False]
    assert await driver.get("a") == b"x"


@pytest.mark.usefixtures("unsynced")
async def test_what_is_gone_meanwhile(driver: DiskDriver) -> None:
    filled = await fill(driver)
    key = await with_a_damaged_manifest(driver, filled)
    found = await suspects(driver, key)
    await driver.delete(key)
    assert await mended(driver, found) == [False]
