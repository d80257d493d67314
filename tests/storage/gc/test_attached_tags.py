"""What is attached to a manifest, as its signature is by cosign's tag, goes and comes with it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from storage import attached
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import ManifestUnknown
from storage.gc.retention import Keep
from storage.repositories import Repository
from storage.store import Store
from tests.storage.content import image, put, put_blob
from tests.storage.gc.scene import PLAIN, aged, collected, filled, opened, settled
from tests.storage.gc.test_collector import LAYER, OTHER, STRAY, Ending, each, is_whole
from tests.storage.streams import outcome
from tests.storage.turns import Story

pytestmark = [pytest.mark.usefixtures("unsynced", "in_turn"), pytest.mark.slow]

BODY, SIGNATURE, NEWEST = image(LAYER), image(OTHER), Keep(last=1)
TAG = f"{attached.stem(Digest.of(BODY))}.sig"


async def push(repository: Repository) -> object:
    """As a push does: a signature that is there is looked for once more when the manifest is there."""
    for layer in (LAYER, OTHER):
        await filled(repository, layer)
    was_signed = await sign(repository)
    stored = await put(repository, BODY)
    if was_signed:
        await sign(repository)
    await repository.tag("v1", stored)
    return stored


async def sign(repository: Repository) -> bool:
    with contextlib.suppress(ManifestUnknown):
        await repository.get(TAG)
        return True
    for layer in (PLAIN, OTHER):
        await put_blob(repository, layer)
    await repository.tag(TAG, await put(repository, SIGNATURE))
    return False


async def test_a_push_of_what_was_deleted_and_left_its_signature(driver: DiskDriver) -> None:
    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await push(repository)
        await repository.delete(Digest.of(BODY))
        aged(driver, 2)
        return lambda: push(repository)

    async for _ in each(driver, begin, NEWEST, at_most=250):
        await is_whole(opened(driver), "v1")
        await is_whole(opened(driver), TAG)


async def test_no_tag_is_left_alone_by_a_run_that_is_killed(tmp_path: Path) -> None:
    for last in range(1, 100):
        driver = DiskDriver(tmp_path / str(last))
        repository = opened(driver)
        await push(repository)
        aged(driver, 2)
        await filled(repository, STRAY)
        await put(repository, image(STRAY), "v2")
        ended = await outcome(collected(Ending(driver, last), NEWEST))  # type: ignore[arg-type]
        for tag in (await repository.tags.page()).names:
            await repository.get(tag)
        await settled(driver, NEWEST)
        assert (await repository.tags.page()).names == ("v2",)
        assert [digest async for digest in repository.digests()] == [Digest.of(image(STRAY))]
        if not isinstance(ended, type):
            break
    assert last > 20
