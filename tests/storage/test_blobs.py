from __future__ import annotations

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, StoreUnavailable
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import objects
from tests.storage.streams import collect

DATA = b"the bytes of a blob"
DIGEST = Digest.of(DATA)


async def test_a_blob_comes_and_goes(repository: Repository, driver: DiskDriver) -> None:
    blobs = repository.blobs
    assert await blobs.put(DATA) == DIGEST
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


async def test_a_repository_has_only_its_own_blobs(store: Store, repository: Repository) -> None:
    await repository.blobs.put(DATA)
    for name in ("team", "team/a/b", "team/b", "a"):
        with pytest.raises(BlobUnknown):
            await store.repository(name).blobs.open(DIGEST)


async def test_deleting_a_blob_leaves_it_to_the_others(store: Store, repository: Repository) -> None:
    other = store.repository("team/b").blobs
    await repository.blobs.put(DATA)
    await other.link(DIGEST, len(DATA))
    await repository.blobs.delete(DIGEST)
    assert await collect(other.read(await other.open(DIGEST))) == DATA


async def test_the_same_blob_again_adds_nothing(repository: Repository, driver: DiskDriver) -> None:
    await repository.blobs.put(DATA)
    before = objects(driver)
    await repository.blobs.put(DATA)
    await repository.blobs.link(DIGEST, len(DATA))
    assert objects(driver) == before


@pytest.mark.parametrize("there", [None, b"", DATA[:-1], DATA + b"x"], ids=["none", "empty", "short", "long"])
async def test_bytes_of_another_length_are_never_served(
    repository: Repository, driver: DiskDriver, there: bytes | None
) -> None:
    await repository.blobs.put(DATA)
    path = driver.root / paths.blob(DIGEST)
    path.unlink() if there is None else path.write_bytes(there)
    with pytest.raises(StoreUnavailable) as raised:
        await repository.blobs.open(DIGEST)
    assert str(DIGEST) in raised.value.message
    await repository.blobs.put(DATA)
    assert (await repository.blobs.open(DIGEST)).size == len(DATA)


async def test_a_damaged_link_is_told(repository: Repository, driver: DiskDriver) -> None:
    await repository.blobs.put(DATA)
    await driver.put(paths.blob_link("team/a", DIGEST), b"")
    with pytest.raises(StoreUnavailable):
        await repository.blobs.find(DIGEST)


async def test_linking_again_mends_a_link_that_says_otherwise(repository: Repository) -> None:
    await repository.blobs.put(DATA)
    await repository.blobs.link(DIGEST, 3)
    with pytest.raises(StoreUnavailable):
        await repository.blobs.open(DIGEST)
    await repository.blobs.put(DATA)
    assert (await repository.blobs.open(DIGEST)).size == len(DATA)
