from __future__ import annotations

import os

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import BlobUnknown, StoreUnavailable
from storage.records import enclose, write_size
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import objects
from tests.storage.content import put_blob, put_signature
from tests.storage.streams import collect

DATA = b"the bytes of a blob"
DIGEST = Digest.of(DATA)


async def test_a_blob_comes_and_goes(repository: Repository, driver: DiskDriver) -> None:
    blobs = repository.blobs
    await put_blob(repository, DATA)
    found = await blobs.open(DIGEST)
    assert (found.digest, found.size, found.witness.holds(driver)) == (DIGEST, len(DATA), True)
    assert found == await blobs.find(DIGEST)
    assert await collect(blobs.read(found)) == DATA
    assert await collect(blobs.read(found, 4, 9)) == DATA[4:9]
    await blobs.delete(DIGEST)
    assert not found.witness.holds(driver)
    for gone in (blobs.find, blobs.open, blobs.delete):
        with pytest.raises(BlobUnknown) as raised:
            await gone(DIGEST)
        assert str(DIGEST) in raised.value.message


async def test_where_the_bytes_of_a_blob_are(store: Store, repository: Repository) -> None:
    await put_blob(repository, DATA)
    assert (await repository.blobs.open(DIGEST)).key == paths.blob(DIGEST)
    other = await enclosed(store, "team/enclosed")
    assert (await other.blobs.open(DIGEST)).key is None


async def test_a_repository_has_only_its_own_blobs(store: Store, repository: Repository) -> None:
    await put_blob(repository, DATA)
    for name in ("team", "team/a/b", "team/b", "a"):
        with pytest.raises(BlobUnknown):
            await store.repository(name).blobs.open(DIGEST)


async def test_deleting_a_blob_leaves_it_to_the_others(store: Store, repository: Repository) -> None:
    other = store.repository("team/b").blobs
    await put_blob(repository, DATA)
    await other.link(DIGEST, len(DATA))
    await repository.blobs.delete(DIGEST)
    assert await collect(other.read(await other.open(DIGEST))) == DATA


async def test_the_same_blob_again_adds_nothing(repository: Repository, driver: DiskDriver) -> None:
    await put_blob(repository, DATA)
    before = objects(driver)
    await put_blob(repository, DATA)
    await repository.blobs.link(DIGEST, len(DATA))
    assert objects(driver) == before


@pytest.mark.parametrize("there", [None, b"", DATA[:-1], DATA + b"x"], ids=["none", "empty", "short", "long"])
async def test_bytes_of_another_length_are_never_served(
    repository: Repository, driver: DiskDriver, there: bytes | None
) -> None:
    await put_blob(repository, DATA)
    path = driver.root / paths.blob(DIGEST)
    path.unlink() if there is None else path.write_bytes(there)
    with pytest.raises(StoreUnavailable) as raised:
        await repository.blobs.open(DIGEST)
    assert str(DIGEST) in raised.value.message
    await put_blob(repository, DATA)
    assert (await repository.blobs.open(DIGEST)).size == len(DATA)


async def test_a_damaged_link_is_told(repository: Repository, driver: DiskDriver) -> None:
    await put_blob(repository, DATA)
    await driver.put(paths.blob_link("team/a", DIGEST), b"")
    with pytest.raises(StoreUnavailable):
        await repository.blobs.find(DIGEST)


async def test_linking_again_mends_a_link_that_says_otherwise(repository: Repository) -> None:
    await put_blob(repository, DATA)
    await repository.blobs.link(DIGEST, 3)
    with pytest.raises(StoreUnavailable):
        await repository.blobs.open(DIGEST)
    await put_blob(repository, DATA)
    assert (await repository.blobs.open(DIGEST)).size == len(DATA)


async def enclosed(store: Store, name: str) -> Repository:
    """A repository that has DATA within its link, as the parts of a signature are."""
    repository = store.repository(name)
    await put_signature(repository, b"{}", DATA)
    return repository


async def test_a_blob_within_its_link(store: Store, driver: DiskDriver) -> None:
    repository = await enclosed(store, "team/a")
    found = await repository.blobs.open(DIGEST)
    assert (found.size, found.witness.holds(driver)) == (len(DATA), True)
    assert await collect(repository.blobs.read(found, 4, 9)) == DATA[4:9]
    assert not (driver.root / paths.blob(DIGEST)).exists()
    await repository.blobs.delete(DIGEST)
    assert not found.witness.holds(driver)


async def test_it_is_mounted_with_its_bytes(store: Store) -> None:
    repository = await enclosed(store, "team/a")
    other = store.repository("team/b").blobs
    for _ in range(2):
        await other.mount(await repository.blobs.find(DIGEST))
    await repository.blobs.delete(DIGEST)
    assert await collect(other.read(await other.open(DIGEST))) == DATA


async def test_a_mounted_one_shares_its_bytes(store: Store, repository: Repository) -> None:
    await put_blob(repository, DATA)
    other = store.repository("team/b").blobs
    await other.mount(await repository.blobs.find(DIGEST))
    assert (await other.open(DIGEST)).enclosed is None


async def test_it_may_come_as_an_upload_too(store: Store) -> None:
    repository = await enclosed(store, "team/a")
    await put_blob(repository, DATA)
    assert await collect(repository.blobs.read(await repository.blobs.open(DIGEST))) == DATA


@pytest.mark.parametrize("there", [b"", DATA[:-1], DATA + b"x"], ids=["empty", "short", "long"])
async def test_a_cut_off_one_is_never_served(store: Store, driver: DiskDriver, there: bytes) -> None:
    repository = await enclosed(store, "team/a")
    await driver.put(paths.blob_link("team/a", DIGEST), enclose(write_size(len(DATA)), there))
    with pytest.raises(StoreUnavailable):
        await repository.blobs.open(DIGEST)


async def test_a_link_that_is_written_again_is_new(repository: Repository, driver: DiskDriver) -> None:
    await put_blob(repository, DATA)
    key = paths.blob_link("team/a", DIGEST)
    os.utime(driver.root / key, (5, 5))
    await repository.blobs.link(DIGEST, len(DATA))
    assert (await driver.stat(key)).modified > 5


async def test_an_unlinked_one_comes_back_for_a_manifest(repository: Repository, driver: DiskDriver) -> None:
    blobs = repository.blobs
    await put_blob(repository, DATA)
    await driver.move(paths.blob_link("team/a", DIGEST), paths.unlinked("team/a", DIGEST))
    with pytest.raises(BlobUnknown):
        await blobs.open(DIGEST)
    shown = await blobs.open(DIGEST, ending=True)
    assert (await collect(blobs.read(shown)), shown.witness.holds(driver)) == (DATA, True)
    assert (await blobs.relink(DIGEST)).size == len(DATA)
    assert not shown.witness.holds(driver)
    assert await blobs.relink(DIGEST) == await blobs.open(DIGEST) == await blobs.open(DIGEST, ending=True)
    await blobs.delete(DIGEST)
    with pytest.raises(BlobUnknown):
        await blobs.relink(DIGEST)


@pytest.mark.parametrize("sent_again", [True, False])
async def test_deleting_what_is_unlinked(
    repository: Repository, driver: DiskDriver, sent_again: bool
) -> None:
    blobs = repository.blobs
    await put_blob(repository, DATA)
    await driver.move(paths.blob_link("team/a", DIGEST), paths.unlinked("team/a", DIGEST))
    if sent_again:
        await put_blob(repository, DATA)
    await blobs.delete(DIGEST)
    with pytest.raises(BlobUnknown):
        await blobs.open(DIGEST, ending=True)


@pytest.mark.parametrize("opened", [True, False], ids=["opened-before", "opened-after"])
async def test_bytes_in_the_trash_are_put_back(
    repository: Repository, driver: DiskDriver, opened: bool
) -> None:
    blobs, key = repository.blobs, paths.blob(DIGEST)
    await put_blob(repository, DATA)
    found = await blobs.open(DIGEST)
    await driver.move(key, paths.trash(key))
    if not opened:
        found = await blobs.open(DIGEST)
    assert await collect(blobs.read(found, 1)) == DATA[1:]
    assert set(objects(driver)) >= {key}
    assert not (driver.root / paths.trash(key)).exists()


async def test_bytes_that_are_nowhere(repository: Repository, driver: DiskDriver) -> None:
    await put_blob(repository, DATA)
    found = await repository.blobs.open(DIGEST)
    await driver.delete(paths.blob(DIGEST))
    with pytest.raises(ObjectMissing):
        await collect(repository.blobs.read(found))
