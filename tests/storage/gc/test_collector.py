"""Whole runs: what goes, what stays, races in each order of their calls, ends in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storage import manifest as manifests
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, ManifestUnknown, StoreUnavailable
from storage.gc.collector import Collector
from storage.gc.job import Collected, Gone
from storage.gc.retention import Keep
from storage.repositories import Repository
from storage.store import Store
from storage.trash import Trash
from tests.storage.conftest import LIMIT, objects
from tests.storage.content import image, index, put, put_blob, put_signature
from tests.storage.gc.scene import PLAIN, aged, collected, collector, filled, has_bytes, opened, settled
from tests.storage.streams import collect, outcome, pieces
from tests.storage.turns import Story, Turns, each_order

LAYER, OTHER, STRAY = b"a layer", b"another layer", b"a stray"
NEWEST = Keep(last=1)

pytestmark = pytest.mark.usefixtures("unsynced", "in_turn")


def content(driver: DiskDriver) -> dict[str, bytes]:
    """All that is stored and not in the trash."""
    return {key: data for key, data in objects(driver).items() if not key.startswith("trash/")}


async def test_nothing_goes_of_what_is_named_however_old(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, LAYER, OTHER)
    child = await put(repository, image(LAYER))
    await put(repository, index(child.descriptor), "v1")
    await put(repository, image(OTHER, subject=child.descriptor))
    before = objects(driver)
    for days in (2, 400):
        aged(driver, days)
        assert await collected(driver) == Collected(repositories=1)
        assert objects(driver) == before


async def test_an_empty_store(driver: DiskDriver) -> None:
    assert await collected(driver) == Collected()


async def test_a_blob_that_nothing_names_goes_in_steps(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, LAYER, STRAY)
    await put(repository, image(LAYER), "v1")
    digest = Digest.of(STRAY)
    assert await collected(driver) == Collected(repositories=1), "it is young"
    aged(driver, 2)
    assert await collected(driver) == Collected(repositories=1, links=1)
    with pytest.raises(BlobUnknown):
        await repository.blobs.find(digest)
    assert has_bytes(driver, STRAY)
    assert await collected(driver) == Collected(repositories=1), "it rests"
    aged(driver, 2)
    assert await collected(driver) == Collected(repositories=1, contents=1, content_bytes=len(STRAY))
    assert not has_bytes(driver, STRAY)
    assert (driver.root / paths.trash(paths.blob(digest))).read_bytes() == STRAY
    aged(driver, 13)
    assert (await collected(driver)).purged == 0
    aged(driver, 15)
    purged = await collected(driver)
    assert (purged.purged, purged.purged_bytes) == (2, len(STRAY) + len(b'{"size":7}'))
    assert not [key for key in objects(driver) if key.startswith("trash/")]
    assert await collect(repository.blobs.read(await repository.blobs.open(Digest.of(LAYER)))) == LAYER


async def test_bytes_stay_as_long_as_any_repository_has_them(driver: DiskDriver, store: Store) -> None:
    one, two = store.repository("one"), store.repository("two")
    for repository in (one, two):
        await filled(repository, LAYER)
    await put(one, image(LAYER), "v1")
    await settled(driver)
    with pytest.raises(BlobUnknown):
        await two.blobs.find(Digest.of(LAYER))
    assert (await one.blobs.open(Digest.of(LAYER))).size == len(LAYER)


async def test_derived_bytes_stay_as_long_as_a_record_names_them(
    driver: DiskDriver, repository: Repository
) -> None:
    await filled(repository, LAYER)
    pushed = await put(repository, image(LAYER), "v1")
    modules = [b"a module", b"a module of none"]
    for module in modules:
        await repository.derived.keep_bytes(Digest.of(module), len(module), pieces(module))
    await repository.derived.keep(pushed.digest, {"module": {"sha256": Digest.of(modules[0]).hex}})
    await settled(driver)
    assert [has_bytes(driver, module) for module in modules] == [True, False]
    await repository.delete(pushed.digest)
    await settled(driver)
    assert not has_bytes(driver, modules[0])


async def test_a_dry_run_tells_all_that_would_go_and_changes_nothing(
    driver: DiskDriver, repository: Repository
) -> None:
    await filled(repository, LAYER, OTHER, STRAY)
    old = await put(repository, image(LAYER), "v1")
    aged(driver, 3)
    await put(repository, image(OTHER), "v2")
    before, told = objects(driver), list[Gone]()
    found = await collector(driver, NEWEST, told).run(dry=True)
    assert objects(driver) == before
    assert (found.tags, found.manifests, found.links, found.contents) == (1, 1, 2, 2)
    assert found.content_bytes == len(LAYER) + len(STRAY)
    assert [(gone.kind, gone.name) for gone in told[:2]] == [("tag", "v1"), ("manifest", str(old.digest))]
    assert {gone.name for gone in told if gone.kind == "content"} == {
        str(Digest.of(LAYER)),
        str(Digest.of(STRAY)),
    }
    await settled(driver, NEWEST)
    assert not has_bytes(driver, LAYER)
    assert has_bytes(driver, OTHER)


@pytest.mark.parametrize("damage", ["manifest", "tag"])
async def test_of_a_repository_with_damage_nothing_goes(
    driver: DiskDriver, store: Store, damage: str
) -> None:
    whole, other = store.repository("whole"), store.repository("damaged")
    for repository in (whole, other):
        await filled(repository, LAYER, STRAY)
        pushed = await put(repository, image(LAYER), "v1")
    key = paths.tag("damaged", "v1") if damage == "tag" else paths.manifest("damaged", pushed.digest)
    path = driver.root / key
    path.write_bytes(path.read_bytes()[:-1])
    aged(driver, 2)
    found = await collected(driver, Keep(last=5))
    assert (found.damaged, found.links, found.repositories) == (["damaged"], 1, 2)
    assert await other.blobs.find(Digest.of(STRAY))


# Two stories at once, in each order of their calls


Begin = Callable[[Repository, Store], Awaitable[Story]]


async def each(driver: DiskDriver, begin: Begin, keep: Keep | None = None, *, at_most: int = 150) -> Any:
    """What a story gives beside a run, for each order; `begin` makes a scene that is old."""
    number = 0

    async def scene() -> tuple[Turns, Sequence[Story]]:
        nonlocal number
        number += 1
        for name in objects(driver):
            (driver.root / name).unlink()
        turns, gated = Turns.over(driver)
        store = Store(gated, upload_limit=LIMIT)
        story = await begin(store.repository("team/a"), store)
        return turns, [story, lambda: collected(gated, keep)]

    async for found in each_order(scene, at_most=at_most):
        assert isinstance(found[1], Collected), found
        yield found[0]
    assert number > 20


async def is_whole(repository: Repository, reference: str | Digest) -> None:
    """Everything that a reference leads to can be pulled, as clients do it: HEAD, then GET."""
    stored = await repository.get(reference)
    manifest = manifests.parse(stored.body, "")
    for child in manifest.manifests:
        await is_whole(repository, child.digest)
    for blob in manifest.blobs():
        found = await repository.blobs.open(blob.digest)
        assert Digest.of(await collect(repository.blobs.read(found))) == blob.digest


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "not-linked"])
async def test_an_upload_of_the_same_digest(driver: DiskDriver, linked: bool) -> None:
    digest = Digest.of(STRAY)

    async def begin(repository: Repository, store: Store) -> Story:
        await put_blob(repository, STRAY)
        if not linked:
            await repository.blobs.delete(digest)
        aged(driver, 2)
        return lambda: store.uploads.single(digest, pieces(STRAY), repository.blobs)

    async for found in each(driver, begin):
        assert found == len(STRAY)
        blobs = opened(driver).blobs
        assert await collect(blobs.read(await blobs.open(digest))) == STRAY


async def test_a_mount_from_a_repository(driver: DiskDriver) -> None:
    digest, outcomes = Digest.of(STRAY), set[object]()

    async def begin(repository: Repository, store: Store) -> Story:
        await put_blob(repository, STRAY)
        aged(driver, 2)
        other = store.repository("other").blobs

        async def mount() -> None:
            await other.mount(await repository.blobs.find(digest))

        return mount

    async for found in each(driver, begin):
        outcomes.add(found)
        if found is None:
            blobs = opened(driver, "other").blobs
            assert await collect(blobs.read(await blobs.open(digest))) == STRAY
    assert outcomes == {None, BlobUnknown}


async def test_a_mount_of_bytes_that_no_repository_has(driver: DiskDriver) -> None:
    digest, outcomes = Digest.of(STRAY), set[object]()

    async def begin(repository: Repository, store: Store) -> Story:
        await put_blob(repository, STRAY)
        await repository.blobs.delete(digest)
        aged(driver, 2)

        async def mount() -> None:
            await repository.blobs.link(digest, await store.proven_size(digest))

        return mount

    async for found in each(driver, begin):
        outcomes.add(found)
        if found is None:
            blobs = opened(driver).blobs
            assert await collect(blobs.read(await blobs.open(digest))) == STRAY
    assert outcomes == {None, BlobUnknown}


async def test_a_manifest_that_names_a_blob_of_which_a_head_said_200(driver: DiskDriver) -> None:
    body = image(LAYER)

    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await filled(repository, LAYER)
        aged(driver, 2)
        manifest = manifests.parse(body, "")

        async def push() -> object:
            assert await repository.missing(manifest) == []
            return (await repository.put(manifest, body, Digest.of(body))).body

        return push

    async for found in each(driver, begin, at_most=300):
        assert found == body
        await is_whole(opened(driver), Digest.of(body))


@pytest.mark.slow
async def test_an_index_of_a_manifest_that_nothing_named(driver: DiskDriver) -> None:
    child = image(LAYER)

    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await filled(repository, LAYER)
        stored = await put(repository, child)
        aged(driver, 2)
        body = index(stored.descriptor)
        manifest = manifests.parse(body, "")

        async def push() -> object:
            missing = await repository.missing(manifest)
            assert missing == []
            return (await repository.put(manifest, body, Digest.of(body))).digest

        return push

    async for found in each(driver, begin, NEWEST, at_most=250):
        assert isinstance(found, Digest)
        await is_whole(opened(driver), found)


async def test_a_tag_of_a_manifest_that_nothing_named(driver: DiskDriver) -> None:
    body = image(LAYER)

    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await filled(repository, LAYER)
        await put(repository, body)
        aged(driver, 2)
        return lambda: put(repository, body, "v1")

    async for found in each(driver, begin, NEWEST, at_most=250):
        assert getattr(found, "body", None) == body
        await is_whole(opened(driver), "v1")


async def test_a_push_to_a_tag_that_is_too_old(driver: DiskDriver) -> None:
    body = image(LAYER)

    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await filled(repository, LAYER)
        await put(repository, body, "v1")
        aged(driver, 2)
        return lambda: put(repository, body, "v1")

    async for found in each(driver, begin, Keep(days=1), at_most=250):
        assert getattr(found, "body", None) == body
        await is_whole(opened(driver), "v1")


@pytest.mark.slow
async def test_a_delete(driver: DiskDriver) -> None:
    body, subject = image(LAYER), image(OTHER)

    async def begin(repository: Repository, store: Store) -> Story:
        del store
        await filled(repository, LAYER, OTHER)
        stored = await put(repository, subject)
        pushed = await put(repository, image(LAYER, subject=stored.descriptor))
        await put(repository, body, "v1")
        aged(driver, 2)
        return partial(repository.delete, pushed.digest)

    async for found in each(driver, begin, NEWEST):
        assert found in ([], ManifestUnknown)
        await is_whole(opened(driver), "v1")
        rows, _ = await opened(driver).referrers.page(Digest.of(subject))
        assert rows == []


@pytest.mark.slow
async def test_a_second_run_by_another_replica(driver: DiskDriver) -> None:
    ends = list[dict[str, bytes]]()

    async def begin(repository: Repository, store: Store) -> Story:
        await filled(repository, LAYER, OTHER, STRAY)
        old = await put(repository, image(LAYER), "v1")
        await repository.tag(f"sha256-{old.digest.hex}.sig", await put(repository, image(STRAY)))
        aged(driver, 3)
        await put(repository, image(OTHER), "v2")
        del store
        return lambda: collected(repository._driver, NEWEST)

    async for found in each(driver, begin, NEWEST, at_most=60):
        assert isinstance(found, Collected)
        ends.append(content(driver))
    assert all(end.keys() == ends[0].keys() for end in ends)
    await is_whole(opened(driver), "v2")


# Ends in the middle


class Ending:
    """A driver that fails from its call `last` on, as one whose process has ended."""

    def __init__(self, driver: DiskDriver, last: int) -> None:
        self._driver = driver
        self._left = last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._count()
            return await found(*args, **options)

        async def walk(prefix: str) -> Any:
            self._count()
            async for entry in found(prefix):
                yield entry

        return walk if name == "walk" else call

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable("the process has ended")


@pytest.mark.slow
async def test_killed_at_any_call_and_run_again(driver: DiskDriver, tmp_path: Path) -> None:
    async def scene(view: DiskDriver) -> None:
        repository = opened(view)
        await filled(repository, LAYER, OTHER, STRAY, b"bytes of none")
        old = await put(repository, index((await put(repository, image(LAYER))).descriptor), "v1")
        await repository.tag(f"sha256-{old.digest.hex}.sig", await put(repository, image(STRAY)))
        await put(repository, image(STRAY, subject=old.descriptor))
        await repository.blobs.delete(Digest.of(b"bytes of none"))
        aged(view, 3)
        await put(repository, image(OTHER), "v2")

    await scene(driver)
    await settled(driver, NEWEST)
    expected = content(driver).keys()
    for last in range(1, 200):
        view = DiskDriver(tmp_path / str(last))
        await scene(view)
        ended = await outcome(collected(Ending(view, last), NEWEST))  # type: ignore[arg-type]
        await is_whole(opened(view), "v2")
        await settled(view, NEWEST)
        assert content(view).keys() == expected, last
        if ended is not StoreUnavailable:
            break
    assert last > 30


async def test_a_run_can_be_cancelled(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, *(b"%d" % at for at in range(50)))
    aged(driver, 2)
    running: list[asyncio.Task[Collected]] = []

    def shown(_: str, steps: int) -> None:
        if steps > 20:
            running[0].cancel()

    running.append(asyncio.create_task(Collector(driver, lambda _: None, pause=0, shown=shown).run()))
    with pytest.raises(asyncio.CancelledError):
        await running[0]
    assert 0 < len(list((driver.root / "repositories/team/a/_blobs/sha256").iterdir())) < 51
    await settled(driver)
    assert not (driver.root / "blobs").exists() or not list((driver.root / "blobs").rglob("*/*/*"))


async def test_what_went_comes_back_with_its_signatures(driver: DiskDriver, repository: Repository) -> None:
    await filled(repository, LAYER, OTHER)
    pushed = await put(repository, image(LAYER), "v1")
    signature = await put_signature(repository, image(b"payload"), b"payload", PLAIN)
    await repository.tag(f"sha256-{pushed.digest.hex}.sig", signature)
    before = content(driver)
    aged(driver, 3)
    await put(repository, image(OTHER), "v2")
    await settled(driver, NEWEST)
    for gone in ("v1", pushed.digest, signature.digest):
        assert await outcome(repository.find(gone)) is ManifestUnknown
    restored = await Trash(driver, repository.name).restore("v1")
    assert set(restored.manifests) == {pushed.digest, signature.digest}
    assert set(restored.tags) == {"v1", f"sha256-{pushed.digest.hex}.sig"}
    assert restored.missing == []
    assert before.items() <= content(driver).items()
    await is_whole(repository, f"sha256-{pushed.digest.hex}.sig")
