from __future__ import annotations

import asyncio
import os
import time

import pytest

from storage import refusals
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.refusals import MAX_BYTES, MOST, MOST_REPOSITORIES
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import objects

ONE, TWO = Digest.of(b"one"), Digest.of(b"two", "sha512")
RECORD = {"why": "it has no plugin.wasm"}


def kept(driver: DiskDriver) -> list[str]:
    return sorted(name for name in objects(driver) if name.startswith("refusals/"))


async def test_by_tag_and_by_digest(repository: Repository) -> None:
    before = time.time() - 5
    await repository.refusals.keep(["v1", ONE], RECORD)
    for reference in ("v1", ONE):
        found = await repository.refusals.find(reference)
        assert found is not None and found.record == RECORD
        assert before < found.at < time.time() + 5
    for missing in ("v2", "one", TWO):
        assert await repository.refusals.find(missing) is None
    assert await repository.refusals.last_by_digest() is None


async def test_the_last_by_digest(repository: Repository) -> None:
    for digest in (ONE, TWO):
        await repository.refusals.keep_by_digest(digest, ["v1"], {"of": str(digest)})
    last = await repository.refusals.last_by_digest()
    assert last is not None and last.record == {"of": str(TWO)}
    for reference, of in ((ONE, ONE), (TWO, TWO), ("v1", TWO)):
        found = await repository.refusals.find(reference)
        assert found is not None and found.record == {"of": str(of)}


async def test_another_repository_sees_nothing(store: Store, repository: Repository) -> None:
    await repository.refusals.keep_by_digest(ONE, ["v1"], RECORD)
    for name in ("team", "team/a/b", "team.a", "team-a", "team/b"):
        other = store.repository(name).refusals
        assert await other.find("v1") is None
        assert await other.find(ONE) is None
        assert await other.last_by_digest() is None


async def test_nothing_enters_the_catalog(store: Store, repository: Repository) -> None:
    await repository.refusals.keep(["v1"], RECORD)
    assert (await store.catalog()).names == ()


async def test_a_later_one_takes_the_place_of_an_earlier(driver: DiskDriver, repository: Repository) -> None:
    await repository.refusals.keep(["v1"], RECORD)
    path = driver.root / "refusals" / "team.a" / "v1"
    os.utime(path, (1, 1))
    await repository.refusals.keep(["v1"], RECORD)
    found = await repository.refusals.find("v1")
    assert found is not None and found.at > time.time() - 60


@pytest.mark.parametrize("harm", [b"", b"{", b"[]", b"\xff"])
async def test_a_damaged_one_is_none(driver: DiskDriver, repository: Repository, harm: bytes) -> None:
    await repository.refusals.keep(["v1"], RECORD)
    (driver.root / "refusals" / "team.a" / "v1").write_bytes(harm)
    assert await repository.refusals.find("v1") is None


async def test_a_record_has_a_limit(driver: DiskDriver, repository: Repository) -> None:
    await repository.refusals.keep(["v1"], {"x": "y" * (MAX_BYTES - 8)})
    with pytest.raises(ValueError, match=str(MAX_BYTES + 1)):
        await repository.refusals.keep(["v2"], {"x": "y" * (MAX_BYTES - 7)})
    assert kept(driver) == ["refusals/team.a/v1"]


@pytest.mark.usefixtures("unsynced")
async def test_of_a_repository_the_newest_are_kept(driver: DiskDriver, repository: Repository) -> None:
    for at in range(MOST):
        await repository.refusals.keep([f"v{at}"], RECORD)
        os.utime(driver.root / "refusals" / "team.a" / f"v{at}", (at, at))
    assert len(kept(driver)) == MOST
    await repository.refusals.keep(["one-more"], RECORD)
    names = {name.rpartition("/")[2] for name in kept(driver)}
    oldest = MOST // 4
    assert names == {"one-more", *(f"v{at}" for at in range(oldest, MOST))}


@pytest.mark.usefixtures("unsynced")
async def test_many_at_once_stay_within_reach_of_the_limit(
    driver: DiskDriver, repository: Repository
) -> None:
    for wave in range(4):
        await asyncio.gather(
            *(repository.refusals.keep([f"v{wave}-{at}"], RECORD) for at in range(MOST // 2))
        )
    assert len(kept(driver)) < 2 * MOST


@pytest.mark.usefixtures("unsynced")
async def test_of_many_repositories_one_makes_room(
    store: Store, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MOST_REPOSITORIES", 5)
    assert MOST_REPOSITORIES == 1000
    for at in range(20):
        await store.repository(f"r{at}").refusals.keep(["v1", ONE], RECORD)
        # Two repositories make room for one, then there is room for one more.
        assert len(kept(driver)) == 2 * (at + 1 if at < 5 else 5 - at % 2)
    assert await store.repository("r19").refusals.find("v1") is not None
    # One that has some already takes nobody's place.
    before = kept(driver)
    await store.repository("r19").refusals.keep(["v2"], RECORD)
    assert set(kept(driver)) == {*before, "refusals/r19/v2"}
