from __future__ import annotations

import pytest

from storage import paths, records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.fsck.finding import Kind
from storage.fsck.hashing import Hashing
from storage.fsck.keys import ManifestAt
from storage.fsck.look import Looker
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository
from tests.storage.content import image, index, put
from tests.storage.fsck.filled import NEAR, REPOSITORY, fill


@pytest.fixture
def looker(driver: DiskDriver) -> Looker:
    return Looker(driver, Hashing(driver), lambda _: False)


async def test_nothing_is_wrong_with_what_is_not_there(looker: Looker) -> None:
    digest = Digest.of(b"x")
    for key in (
        paths.blob(digest),
        paths.blob_link("a", digest),
        paths.manifest("a", digest),
        paths.tag("a", "v1"),
        paths.referrer("a", digest, digest),
        paths.catalog("a"),
        paths.FORMAT,
        "stray",
    ):
        assert await looker.look(key) == []


@pytest.mark.parametrize(
    ("key", "has"),
    [
        ("repositories/a/_tags/x", True),
        ("repositories/a/_blobs/sha256/x", True),
        ("repositories/a/b/_tags/x", False),
        ("repositories/a/0/_tags/x", False),
        ("repositories/a0/_tags/x", False),
    ],
)
async def test_what_is_a_repositorys_own(looker: Looker, driver: DiskDriver, key: str, has: bool) -> None:
    await driver.put(key, b"")
    assert await looker.has_content("a") == has
    assert not await looker.has_manifests("a")


async def test_a_repositorys_own_beside_others(looker: Looker, driver: DiskDriver) -> None:
    for key in ("repositories/a/0/_tags/x", "repositories/a/_tags/x", "repositories/a/z/_tags/x"):
        await driver.put(key, b"")
    assert await looker.has_content("a")


async def test_what_is_missing_is_named(looker: Looker, repository: Repository, driver: DiskDriver) -> None:
    layers = [b"%d" % number for number in range(5)]
    stored = await put(repository, image(*layers))
    (found,) = await looker.look(paths.manifest(repository.name, stored.digest))
    assert found.kind is Kind.INCOMPLETE_MANIFEST
    assert found.what.startswith(f"it names what the repository has not: {Digest.of(b'{}')}, ")
    assert found.what.endswith(" and 3 more")


async def test_two_things_may_be_wrong_with_one(
    looker: Looker, repository: Repository, driver: DiskDriver
) -> None:
    subject = Descriptor(OCI_MANIFEST, Digest.of(b"subject"), 7)
    stored = await put(repository, image(subject=subject))
    await driver.delete(paths.referrer(repository.name, subject.digest, stored.digest))
    found = await looker.look(paths.manifest(repository.name, stored.digest))
    assert [one.kind for one in found] == [Kind.INCOMPLETE_MANIFEST, Kind.MISSING_REFERRER]


@pytest.mark.usefixtures("unsynced")
async def test_everything_of_a_full_store_is_right(looker: Looker, driver: DiskDriver) -> None:
    filled = await fill(driver)
    for top in ("blobs", "repositories", "catalog", "refusals", "uploads"):
        async for entry in driver.walk(top):
            assert await looker.look(entry.key) == [], entry.key
    assert await looker.has_manifests(NEAR)
    found = await looker.stored(ManifestAt(REPOSITORY, filled.image))
    assert found and found[0].digest == filled.image


async def test_a_manifest_that_is_not_in_order(
    looker: Looker, repository: Repository, driver: DiskDriver
) -> None:
    stored = await put(repository, index())
    key, place = paths.manifest(repository.name, stored.digest), ManifestAt(repository.name, stored.digest)
    assert await looker.stored(place)
    right = records.write_descriptor(stored.descriptor)
    for held in (b"", b"{}", right, right + b"\n{}", b"{}\n" + stored.body):
        await driver.put(key, held)
        assert await looker.stored(place) is None, held
