from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from registry import patterns
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Driver, ObjectMissing
from storage.quota import accounted
from storage.quota.accounted import Accounted
from storage.quota.quotas import Quota, Quotas
from tests.storage.driver_contract import DriverContract
from tests.storage.folder import InFolder
from tests.storage.quota.process import Process, there
from tests.storage.streams import outcome
from tests.storage.unsteady import Unsteady

LINK = paths.blob_link("team/a", Digest.of(b"x"))
MANIFEST = paths.manifest("team/a", Digest.of(b"x"))
ASIDE = paths.unlinked("team/a", Digest.of(b"x"))


class Place(InFolder):
    """A folder as a place (`driver_contract.Place`), of which every repository has a quota."""

    def open(self) -> Driver:
        disk = DiskDriver(self.root)
        return Accounted(disk, Quotas(disk, [Quota("**", 1, partial(patterns.matches, "**"))]))


class TestContract(DriverContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path / "store")


async def test_each_way_in_and_out_is_in_the_books(driver: DiskDriver) -> None:
    one = await Process(driver, **{"team/**": 100}).counted()
    used = []
    for step in (
        lambda: one.driver.put(LINK, b'{"size":10}'),
        lambda: one.driver.put(LINK, b'{"size":10}'),
        lambda: one.driver.put_in_order([{MANIFEST: b'{"size":7}\n1234567'}, {"catalog/team.a": b""}]),
        lambda: one.driver.move(LINK, ASIDE),
        lambda: one.driver.move(ASIDE, LINK),
        lambda: one.driver.move(MANIFEST, paths.trash(MANIFEST)),
        lambda: one.driver.move(paths.trash(MANIFEST), MANIFEST),
        lambda: one.driver.delete(MANIFEST),
        lambda: one.driver.delete(MANIFEST),
        lambda: one.driver.create(MANIFEST, b'{"size":1000}'),
    ):
        await step()
        used.append(await one.used())
        assert used[-1] == await there(driver, "team/a")
    assert used == [10, 10, 17, 7, 17, 10, 17, 10, 10, 1010]


async def test_what_has_no_quota_asks_nothing_more(driver: DiskDriver) -> None:
    counting = Unsteady(driver)
    one = Process(counting.driver, **{"team/**": 100})
    link = paths.blob_link("other", Digest.of(b"x"))
    await one.driver.put(link, b'{"size":10}')
    await one.driver.move(link, paths.trash(link))
    await one.driver.delete("catalog/team.a")
    assert [name for name, _ in counting.calls] == ["put", "move", "delete"]


async def test_a_write_that_failed_does_not_count(driver: DiskDriver) -> None:
    counting = Unsteady(driver)
    one = await Process(counting.driver, **{"team/**": 100}).counted()
    with pytest.raises(ObjectMissing):
        async with one.quotas.accounts[0].changing({LINK: 10}):
            raise ObjectMissing(LINK)
    assert await one.used() == 0


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (LINK, True),
        (MANIFEST, True),
        (ASIDE, False),
        (paths.trash(LINK), False),
        (paths.tag("team/a", "v1"), False),
        (paths.blob(Digest.of(b"x")), False),
    ],
)
def test_links_and_manifests_count(key: str, expected: bool) -> None:
    assert accounted.counts(key) is expected


async def test_a_damaged_record_stands_for_nothing(driver: DiskDriver) -> None:
    assert accounted.size_of(b"{", LINK) == 0
    assert await outcome(accounted.beginning(driver, LINK)) is ObjectMissing
