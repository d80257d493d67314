"""Two neighbouring formats over one store, side by side, and how the older one becomes the newer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from storage import formats, paths, records
from storage.digest import Digest
from storage.driver import Driver
from storage.errors import FormatOutdated, ManifestUnknown, StoreUnavailable
from storage.fsck.check import Check, Wanted
from storage.gc.collector import Collector
from storage.manifest import OCI_MANIFEST
from storage.migration import Progress, migrate
from storage.repositories import Repository
from storage.store import Store
from tests.storage.both import Drivers, contents, over_both
from tests.storage.conftest import LIMIT
from tests.storage.content import described, image, put, put_signature
from tests.storage.former import Former, Refused
from tests.storage.gc.scene import in_days
from tests.storage.streams import collect, outcome
from tests.storage.unsteady import Unsteady

pytestmark = [over_both, pytest.mark.usefixtures("unsynced")]

PLAIN, LAYER, OTHER = b"{}", b"a layer", b"another layer"
NAME = "team/a"
ONE, TWO = image(LAYER), image(OTHER)
SIGNED = image(b"payload")
SUBJECT = described(ONE, OCI_MANIFEST)


def ignored(_: Progress) -> None:
    pass


async def opened(driver: Driver) -> Repository:
    """The repository as this release has it."""
    store = Store(driver, upload_limit=LIMIT)
    await store.open()
    return store.repository(NAME)


async def beside(drivers: Drivers) -> tuple[Former, Repository]:
    """The release before and this one over the same store, each with a driver of its own."""
    former = Former(drivers())
    await former.open()
    return former, await opened(drivers())


async def pull(repository: Repository, reference: str | Digest) -> bytes:
    """A manifest as a client gets it: its bytes read, which are held against what is known whole."""
    descriptor, _ = await repository.find(reference)
    read = await collect(repository.read(descriptor))
    assert read == (await repository.get(reference)).body
    assert await collect(repository.read(descriptor, 1, 5)) == read[1:5]
    assert await collect(repository.read(descriptor, len(read) - 2)) == read[-2:]
    return read


async def push(repository: Repository, body: bytes, layer: bytes, *tags: str) -> Digest:
    for blob in (PLAIN, layer):
        await repository.blobs.enclose(blob)
    return (await put(repository, body, *tags)).digest


async def found_wrong(driver: Driver) -> list[tuple[str, str]]:
    """What a check of the whole store finds."""
    check = Check(driver, Wanted(settle=0), lambda *_: None)
    return [(result.finding.kind, result.finding.key) async for result in check.run()]


async def test_each_pulls_what_the_other_pushed(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    one = await former.push(NAME, ONE, (PLAIN, LAYER), "v1", "latest")
    two = await push(repository, TWO, OTHER, "v2", "latest")
    await put_signature(repository, SIGNED, PLAIN, b"payload")
    for reference, body in ((one, ONE), ("v1", ONE), (two, TWO), ("v2", TWO), ("latest", TWO)):
        assert await former.pull(NAME, reference) == body
        assert await pull(repository, reference) == body
    assert await former.pull(NAME, Digest.of(SIGNED)) == SIGNED
    for blob in (PLAIN, LAYER, OTHER, b"payload"):
        assert await former.pull_blob(NAME, Digest.of(blob)) == blob
        blobs = repository.blobs
        assert await collect(blobs.read(await blobs.open(Digest.of(blob)))) == blob
    assert await former.tags(NAME) == list((await repository.tags.page()).names) == ["latest", "v1", "v2"]
    await former.push(NAME, ONE, (), "latest")
    assert await pull(repository, "latest") == ONE
    assert (await repository.tags.history("latest")).former == ()
    assert await found_wrong(drivers()) == []


async def test_each_sees_what_the_other_takes_away(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    one = await former.push(NAME, ONE, (PLAIN, LAYER), "v1", "also")
    two = await push(repository, TWO, OTHER, "v2")
    refers = image(PLAIN, subject=SUBJECT, kind="a/b")
    await former.push(NAME, refers)
    refers_too = (await put(repository, image(LAYER, subject=SUBJECT, kind="a/b"))).digest
    rows, _ = await repository.referrers.page(one)
    assert sorted(str(row.digest) for row in rows) == sorted(await former.referrers(NAME, one))
    assert len(rows) == 2
    await repository.delete(Digest.of(refers))
    await former.delete(NAME, refers_too)
    assert (await repository.referrers.page(one))[0] == await former.referrers(NAME, one) == []
    await former.delete(NAME, two)
    await repository.delete(one)
    for digest in (one, two):
        assert await outcome(repository.get(digest)) is ManifestUnknown
        assert await outcome(former.pull(NAME, digest)) is Refused
    assert await former.tags(NAME) == []
    assert await found_wrong(drivers()) == []


async def test_garbage_waits_for_the_migration(drivers: Drivers) -> None:
    former, _ = await beside(drivers)
    await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    before = await contents(drivers())
    for dry in (True, False):
        assert await outcome(Collector(drivers(), lambda _: None).run(dry=dry)) is FormatOutdated
    assert await contents(drivers()) == before


async def test_a_store_of_the_release_before_is_migrated(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await push(repository, TWO, OTHER, "v2")
    seen: list[tuple[int, int]] = []
    done = await migrate(drivers(), lambda progress: seen.append((progress.looked, progress.changed)))
    assert (done.changed, done.looked, seen[-1]) == (2, 4, (4, 2))
    assert await drivers().get(paths.FORMAT) == b'{"format":2}'
    assert await outcome(Former(drivers()).open()) is Refused
    for tag, body in (("v1", ONE), ("v2", TWO)):
        assert await pull(repository, tag) == body
        key = paths.manifest(NAME, Digest.of(body))
        record = records.write_descriptor(described(body, OCI_MANIFEST))
        assert await drivers().get(key) == records.enclose(record, body)
    await put(repository, TWO, "v1")
    assert [one.descriptor.digest for one in (await repository.tags.history("v1")).former] == [Digest.of(ONE)]
    await repository.blobs.enclose(b"payload")
    await put(repository, SIGNED)
    assert paths.blob(Digest.of(SIGNED)) not in await contents(drivers())
    assert await found_wrong(drivers()) == []
    before = await contents(drivers())
    assert await migrate(drivers(), ignored) == Progress()
    assert await contents(drivers()) == before


async def test_what_lay_apart_is_garbage_then(drivers: Drivers, monkeypatch: pytest.MonkeyPatch) -> None:
    former, repository = await beside(drivers)
    one = await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await migrate(drivers(), ignored)
    two = await former.push(NAME, TWO, (OTHER,), "late")  # by one that had begun before
    for days in (2, 4):
        in_days(monkeypatch, days)
        done = await Collector(drivers(), lambda _: None, pause=0).run()
        assert (done.damaged, done.manifests, done.links) == ([], 0, 0)
    left = await contents(drivers())
    assert not {paths.blob(one), paths.blob(two)} & left.keys()
    assert left[paths.manifest(NAME, two)].endswith(b"\n" + TWO)
    assert await pull(repository, "v1") == ONE
    assert await pull(repository, "late") == TWO
    assert await found_wrong(drivers()) == []


async def test_pushes_of_both_go_on_while_it_is_migrated(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    bodies = {at: image(b"layer %d" % at) for at in range(12)}
    for at in range(4):
        await former.push(NAME, bodies[at], (PLAIN, b"layer %d" % at), f"v{at}")
    begun = asyncio.Event()

    async def of_former() -> None:
        # It is told to stop and ends what it has begun.
        for at in range(4, 6):
            await former.push(NAME, bodies[at], (PLAIN, b"layer %d" % at), f"v{at}")
        begun.set()

    async def of_ours() -> None:
        for at in range(6, 12):
            await push(repository, bodies[at], b"layer %d" % at, f"v{at}")

    async def migrated() -> None:
        await begun.wait()
        await asyncio.gather(*(migrate(drivers(), ignored) for _ in range(2)))

    await asyncio.gather(of_former(), of_ours(), migrated())
    assert (await formats.load(drivers())).is_settled
    for at, body in bodies.items():
        assert await pull(repository, f"v{at}") == body
    assert await found_wrong(drivers()) == []


class Ending:
    """A driver that fails from its call `last` on, as one whose process has ended."""

    def __init__(self, driver: Driver, last: int) -> None:
        self._unsteady = Unsteady(driver)
        self._last = last

    def __getattr__(self, name: str) -> Any:
        if len(self._unsteady.calls) >= self._last:
            raise StoreUnavailable("the process has ended")
        return getattr(self._unsteady, name)


async def test_ended_at_any_call_and_begun_again(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    driver = drivers()
    await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await former.push(NAME, TWO, (OTHER,), "v2")
    for last in range(100):
        done = await outcome(migrate(cast(Driver, Ending(driver, last)), ignored))
        for tag, body in (("v1", ONE), ("v2", TWO)):
            assert await pull(repository, tag) == body
        if isinstance(done, Progress):
            break
        assert done is StoreUnavailable
        assert not (await formats.load(driver)).is_settled
    assert last > 5
    assert (await formats.load(driver)).is_settled
    assert await found_wrong(driver) == []


async def test_what_is_damaged_stays_and_does_not_hold_it_up(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    one = await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await drivers().put(paths.blob(one), b"rotten")
    await drivers().put(f"{paths.manifests(NAME, 'sha256')}/stray", b"x")
    assert (await migrate(drivers(), ignored)).changed == 0
    assert (await formats.load(drivers())).is_settled
    assert await outcome(repository.get("v1")) is StoreUnavailable
    assert ("wrong-manifest", paths.manifest(NAME, one)) in await found_wrong(drivers())


async def test_a_check_mends_in_the_form_that_the_release_before_reads(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    one = await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await drivers().put(paths.manifest(NAME, one), b"{}")
    check = Check(drivers(), Wanted(repair=True, settle=0), lambda *_: None)
    results = [result async for result in check.run()]
    assert [(result.finding.kind, result.mended) for result in results] == [("wrong-manifest", True)]
    assert await former.pull(NAME, "v1") == ONE
    assert await pull(repository, "v1") == ONE


async def test_the_tags_that_both_move_at_once(drivers: Drivers) -> None:
    former, repository = await beside(drivers)
    await former.push(NAME, ONE, (PLAIN, LAYER), "v1")
    await push(repository, TWO, OTHER)

    for _ in range(5):
        of_both: tuple[Awaitable[object], ...] = (
            former.push(NAME, ONE, (), "moving", "v1"),
            put(repository, TWO, "moving", "v2"),
        )
        await asyncio.gather(*of_both)
        assert await former.pull(NAME, "moving") == await pull(repository, "moving")
    assert await former.tags(NAME) == ["moving", "v1", "v2"]
