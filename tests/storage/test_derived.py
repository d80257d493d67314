from __future__ import annotations

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import StoreUnavailable
from storage.repositories import Repository
from storage.store import Store
from tests.storage.streams import collect, failing, outcome, pieces

MANIFEST = Digest.of(b"a manifest")
MODULE = b"\0asm\1\0\0\0"


async def test_a_record_comes_changes_and_goes(repository: Repository) -> None:
    derived = repository.derived
    assert await derived.find(MANIFEST) is None
    for record in ({"rules": 1, "problems": []}, {"rules": 2, "problems": [{"code": "x"}]}):
        await derived.keep(MANIFEST, record)
        assert await derived.find(MANIFEST) == record
    for _ in range(2):
        await derived.forget(MANIFEST)
        assert await derived.find(MANIFEST) is None


async def test_records_are_the_repositorys_own(store: Store, repository: Repository) -> None:
    await repository.derived.keep(MANIFEST, {})
    assert await store.repository("team/b").derived.find(MANIFEST) is None


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"rules":', b"\0" * 50])
async def test_a_damaged_record_is_none(repository: Repository, driver: DiskDriver, damage: bytes) -> None:
    """It is made anew at the next push, so it must not stand in its way."""
    await driver.put(paths.derived("team/a", MANIFEST), damage)
    assert await repository.derived.find(MANIFEST) is None


async def test_a_store_that_fails_is_not_taken_for_damage(
    repository: Repository, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(key: str) -> bytes:
        raise StoreUnavailable("the store does not answer.")

    monkeypatch.setattr(driver, "get", fail)
    with pytest.raises(StoreUnavailable):
        await repository.derived.find(MANIFEST)


async def test_bytes_are_kept_once(repository: Repository) -> None:
    digest, derived = Digest.of(MODULE), repository.derived
    await derived.keep_bytes(digest, len(MODULE), pieces(MODULE[:3], MODULE[3:]))
    await derived.keep_bytes(digest, len(MODULE), failing(AssertionError("read again")))
    assert await collect(derived.read_bytes(digest)) == MODULE
    assert await collect(derived.read_bytes(digest, 1, 4)) == MODULE[1:4]


async def test_bytes_that_are_there_in_part_are_mended(repository: Repository, driver: DiskDriver) -> None:
    digest = Digest.of(MODULE)
    (driver.root / paths.blob(digest)).parent.mkdir(parents=True)
    (driver.root / paths.blob(digest)).write_bytes(MODULE[:3])
    await repository.derived.keep_bytes(digest, len(MODULE), pieces(MODULE))
    assert await collect(repository.derived.read_bytes(digest)) == MODULE


async def test_other_bytes_than_were_announced_are_not_kept(repository: Repository) -> None:
    digest, derived = Digest.of(MODULE), repository.derived
    with pytest.raises(StoreUnavailable):
        await derived.keep_bytes(digest, len(MODULE), pieces(MODULE[:-1], b"x"))
    assert not await derived.has_bytes(digest, len(MODULE))
    await derived.keep_bytes(digest, len(MODULE), pieces(MODULE))
    assert await derived.has_bytes(digest, len(MODULE))
    assert not await derived.has_bytes(digest, len(MODULE) + 1)


async def test_bytes_whose_source_fails_are_not_kept(repository: Repository) -> None:
    digest = Digest.of(MODULE)
    with pytest.raises(KeyError):
        await repository.derived.keep_bytes(digest, len(MODULE), failing(KeyError(), MODULE[:3]))
    assert await outcome(collect(repository.derived.read_bytes(digest))) is ObjectMissing
