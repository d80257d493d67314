from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, FormatUnknown, NameInvalid, NameUnknown, StoreError
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import LIMIT, objects
from tests.storage.content import image, put, put_blob
from tests.storage.test_paths import NAMES


async def test_an_empty_store_gets_a_format_and_keeps_it(driver: DiskDriver) -> None:
    for _ in range(3):
        await Store(driver, upload_limit=LIMIT).open()
    assert objects(driver) == {"format": b'{"format":2}'}


async def test_a_newer_store_is_not_opened(driver: DiskDriver) -> None:
    await driver.put("format", b'{"format":3}')
    with pytest.raises(FormatUnknown):
        await Store(driver, upload_limit=LIMIT).open()


async def test_ready(store: Store, driver: DiskDriver) -> None:
    await store.ready()
    shutil.rmtree(driver.root)
    with pytest.raises(StoreError) as raised:
        await store.ready()
    assert raised.value.fix


@pytest.mark.parametrize("name", ["", "A", "a/../b", "a/_tags"])
async def test_names_are_checked_at_the_door(store: Store, name: str) -> None:
    with pytest.raises(NameInvalid):
        store.repository(name)


async def test_a_repository_exists_from_its_first_manifest(store: Store, repository: Repository) -> None:
    with pytest.raises(NameUnknown):
        await repository.must_exist()
    await put_blob(repository, b"x")
    with pytest.raises(NameUnknown):
        await repository.must_exist()
    await put(repository, image(), "latest")
    await repository.must_exist()
    with pytest.raises(NameUnknown):
        await store.repository("team").must_exist()
    assert (await store.catalog()).names == ("team/a",)


async def test_content_without_its_repository(
    store: Store, repository: Repository, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await put_blob(repository, b"x" * 10)
    assert await store.proven_size(digest) == 10
    with pytest.raises(BlobUnknown):
        await store.proven_size(Digest.of(b"y"))
    monkeypatch.setattr("storage.store.PROVEN", 9)
    with pytest.raises(BlobUnknown):
        await store.proven_size(digest)


@pytest.mark.parametrize("damaged", [b"", b"x" * 9, b"y" * 10], ids=["empty", "truncated", "other bytes"])
async def test_damaged_content_is_not_mounted(
    store: Store, repository: Repository, driver: DiskDriver, damaged: bytes
) -> None:
    digest = await put_blob(repository, b"x" * 10)
    await driver.put(paths.blob(digest), damaged)
    with pytest.raises(BlobUnknown):
        await store.proven_size(digest)


@pytest.mark.usefixtures("unsynced")
@given(st.sets(NAMES, max_size=10), st.one_of(NAMES, st.just("")), st.integers(1, 11))
@settings(max_examples=25)
async def test_the_catalog_is_in_byte_order(tmp_path: Path, wanted: set[str], after: str, limit: int) -> None:
    driver = DiskDriver(tmp_path / "catalog")
    for name in (await driver.children(paths.CATALOG)).names:
        await driver.delete(f"{paths.CATALOG}/{name}")
    for name in wanted:
        await driver.create(paths.catalog(name), b"")
    store = Store(driver, upload_limit=LIMIT)
    assert list((await store.catalog()).names) == sorted(wanted)
    following = sorted(name for name in wanted if name > after)
    page = await store.catalog(after=after, limit=limit)
    assert (list(page.names), page.more) == (following[:limit], len(following) > limit)
