from __future__ import annotations

import os
import time

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown
from storage.gc.job import Gone
from storage.gc.retention import DAY, Keep
from storage.repositories import Repository
from tests.storage.conftest import objects
from tests.storage.content import image, put, put_blob, put_signature
from tests.storage.gc.scene import aged, collected, collector, filled
from tests.storage.streams import outcome

pytestmark = pytest.mark.usefixtures("unsynced", "in_turn")

LAYER = b"a layer"
DIGEST = Digest.of(LAYER)
LINK, ASIDE = paths.blob_link("team/a", DIGEST), paths.unlinked("team/a", DIGEST)


def set_age(driver: DiskDriver, key: str, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(driver.root / key, (then, then))


async def test_what_a_manifest_names_stays_linked(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, LAYER, b"unused")
    await put(repository, image(LAYER))
    aged(driver, 2)
    told: list[Gone] = []
    found = await collector(driver, told=told).run()
    assert (found.links, [gone.name for gone in told]) == (1, [str(Digest.of(b"unused"))])
    assert (await repository.blobs.open(DIGEST)).size == len(LAYER)


async def test_layers_that_are_kept_elsewhere_count_too(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, LAYER)
    foreign = b"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    await put(repository, image(LAYER).replace(b"application/vnd.oci.image.layer.v1.tar+gzip", foreign))
    aged(driver, 2)
    assert (await collected(driver)).links == 0


@pytest.mark.parametrize(
    ("days", "stays"), [(0.9, True), (1.1, False)], ids=["it-rests", "it-rested-long-enough"]
)
async def test_how_long_it_rests(
    driver: DiskDriver, repository: Repository, days: float, stays: bool
) -> None:
    await put_blob(repository, LAYER)
    aged(driver, 2)
    await collected(driver)
    assert ASIDE in objects(driver)
    set_age(driver, ASIDE, days)
    await collected(driver)
    there = objects(driver)
    assert (ASIDE in there, paths.blob(DIGEST) in there) == (stays, stays)
    assert (paths.trash(LINK) in there, paths.trash(paths.blob(DIGEST)) in there) == (not stays, not stays)


async def test_what_is_pushed_again_while_it_rests_stays(driver: DiskDriver, repository: Repository) -> None:
    await put_blob(repository, LAYER)
    aged(driver, 2)
    await collected(driver)
    await put_blob(repository, LAYER)
    await put(repository, image(LAYER))
    set_age(driver, ASIDE, 2)
    assert (await collected(driver)).restored == 0
    assert (ASIDE in objects(driver), LINK in objects(driver)) == (False, True)


async def test_a_manifest_whose_push_was_cut_off_gets_its_blob_back(
    driver: DiskDriver, repository: Repository
) -> None:
    """It was stored when the process ended, before it looked for its blobs again."""
    await filled(repository, LAYER)
    aged(driver, 2)
    await collected(driver)
    stored = await put(repository, image(LAYER))
    await driver.move(LINK, ASIDE)
    set_age(driver, ASIDE, 5)
    assert (await collected(driver)).restored == 1
    assert (await repository.blobs.open(DIGEST)).size == len(LAYER)
    assert (await repository.get(stored.digest)).body


async def test_the_parts_of_a_signature_go_with_their_bytes(
    driver: DiskDriver, repository: Repository
) -> None:
    stored = await put_signature(repository, image(LAYER), LAYER, b"{}")
    aged(driver, 2)
    assert (await collected(driver)).links == 0
    await repository.delete(stored.digest)
    assert (await collected(driver)).links == 2
    assert await outcome(repository.blobs.find(DIGEST)) is BlobUnknown
    aged(driver, 2)
    await collected(driver)
    assert objects(driver)[paths.trash(LINK)].endswith(LAYER)


async def test_a_repository_without_manifests_has_links_too(
    driver: DiskDriver, repository: Repository
) -> None:
    """What was mounted or uploaded and never used: no catalog knows of it."""
    await put_blob(repository, LAYER)
    aged(driver, 2)
    assert (await collected(driver, Keep(last=1))).links == 1
