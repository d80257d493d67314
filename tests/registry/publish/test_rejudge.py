"""`Rejudge`: all that is stored, judged again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from registry.publish import plugins, rejudge
from registry.publish.plugins import Attachment, Plugin
from registry.publish.rejudge import Broken, Counts, Rejudge, Unreadable
from registry.verdict import Problem, Verdict
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreFull
from storage.manifest import parse
from storage.repositories import Repository
from storage.store import Store
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer
from tests.registry.consumers.shapes import ATTESTATION
from tests.registry.publish.looks import examiner
from tests.registry.wasm.binary import HEADER, custom
from tests.storage.content import put_blob

AMD64 = {"os": "linux", "architecture": "amd64"}


def made(name: str, module: bytes = PLUGIN) -> Shape:
    """An image of its own; `module` without a custom section is the bare one."""
    return image(name, [(OCI_LAYER, layer(("plugin.wasm", module + custom(name))))], None)


GOOD, BAD = made("good"), made("bad", HEADER)
INDEX = index("index", [(BAD, AMD64)], None)


@pytest.fixture
def driver(tmp_path: Path) -> DiskDriver:
    return DiskDriver(tmp_path)


@pytest.fixture
def store(driver: DiskDriver) -> Store:
    return Store(driver, upload_limit=1 << 30)


@pytest.fixture
def repository(store: Store) -> Repository:
    return store.repository("team/wasm")


async def put(repository: Repository, shape: Shape, *tags: str) -> Digest:
    for data in shape.blobs.values():
        await put_blob(repository, data)
    for child in shape.children:
        await put(repository, child)
    stored = await repository.put(parse(shape.body, ""), shape.body, Digest.parse(shape.digest))
    for tag in tags:
        await repository.tag(tag, stored)
    return stored.digest


async def known(repository: Repository, digest: Digest, *envoys: str) -> None:
    """Let a record say that a manifest has a problem in these Envoys."""
    verdict = Verdict("istio", (Problem("old", "m", "f", envoys=envoys),))
    await repository.derived.keep(digest, plugins.to_record(Plugin(digest, (verdict,))))


class Run:
    """One walk through a store: what it found, what it told, its counts."""

    def __init__(self, store: Store, *envoys: str) -> None:
        self.told: list[tuple[str, int]] = []
        self._envoys = envoys or ("1.40",)
        self.work = Rejudge(store, examiner(), self._asked, self._tell)

    def _asked(self, _: str, found: Sequence[Verdict]) -> tuple[Verdict, ...]:
        return tuple(verdict.among(self._envoys) for verdict in found)

    def _tell(self, repository: str, counts: Counts) -> None:
        self.told.append((repository, counts.seen))

    async def __call__(self) -> list[Broken | Unreadable]:
        return [found async for found in self.work.run()]

    @property
    def counts(self) -> Counts:
        return self.work.counts


async def test_nothing_is_stored(store: Store) -> None:
    run = Run(store)
    assert (await run(), run.counts) == ([], Counts())


async def test_what_has_no_record_is_taken_apart_once(store: Store, repository: Repository) -> None:
    good, bad = await put(repository, GOOD, "v1"), await put(repository, BAD, "v2", "latest")
    run = Run(store)
    (broken,) = await run()
    assert isinstance(broken, Broken)
    assert (broken.repository, broken.image, broken.digests) == ("team/wasm", bad, (bad,))
    assert (broken.tags, broken.more) == (("latest", "v2"), 0)
    assert not any(verdict.ok for verdict in broken.verdicts)
    assert run.counts == Counts(repositories=1, seen=2, plugins=2, anew=2, broken=1)
    assert run.told[-1] == ("team/wasm", 2)
    for digest in (good, bad):
        assert plugins.from_record(await repository.derived.find(digest)), "the record was not kept"
    again = Run(store)
    assert await again() == [broken]
    assert again.counts == Counts(repositories=1, seen=2, plugins=2, broken=1)


async def test_another_release_needs_the_record_alone(
    store: Store, driver: DiskDriver, repository: Repository
) -> None:
    digest = await put(repository, GOOD, "v1")
    await known(repository, digest, "1.36", "1.37")
    for blob in GOOD.blobs.values():
        await driver.delete(paths.blob(Digest.of(blob)))
    for envoys, found in (("1.36",), 1), (("1.40",), 0), (("1.37", "1.40"), 1):
        assert len(await Run(store, *envoys)()) == found, envoys


async def test_records_of_other_rules_are_made_anew(store: Store, repository: Repository) -> None:
    digest = await put(repository, GOOD)
    await known(repository, digest, "1.40")
    record = await repository.derived.find(digest)
    assert record
    await repository.derived.keep(digest, {**record, "rules": -1})
    run = Run(store)
    assert (await run(), run.counts.anew) == ([], 1)


async def test_an_index_and_its_image_are_one(store: Store, repository: Repository) -> None:
    whole = await put(repository, INDEX, "v1")
    run = Run(store)
    (broken,) = await run()
    assert isinstance(broken, Broken)
    assert (run.counts.seen, run.counts.anew) == (2, 2), "the image was taken apart twice"
    child = Digest.parse(BAD.digest)
    assert (broken.image, broken.tags, set(broken.digests)) == (child, ("v1",), {whole, child})


async def test_an_index_of_attachments_is_one_whatever_comes_first(
    store: Store, repository: Repository
) -> None:
    """Its children's records decide, and it may sort before them."""
    for number in range(8):
        inner = index(f"i{number}", [(ATTESTATION, {"os": "unknown", "architecture": str(number)})], None)
        await put(repository, index(f"o{number}", [(inner, None)], None))
    run = Run(store)
    assert await run() == []
    assert (run.counts.seen, run.counts.plugins) == (17, 0)
    found = [
        plugins.from_record(await repository.derived.find(digest)) async for digest in repository.digests()
    ]
    assert found == [Attachment()] * 17


async def test_what_is_not_all_here_is_counted(store: Store, repository: Repository) -> None:
    await repository.put(parse(GOOD.body, ""), GOOD.body, Digest.parse(GOOD.digest))
    run = Run(store)
    assert (await run(), run.counts.absent, run.counts.anew) == ([], 1, 0)


async def test_a_damaged_manifest_does_not_end_it(
    store: Store, driver: DiskDriver, repository: Repository
) -> None:
    digest = await put(repository, GOOD)
    await put(repository, BAD)
    await driver.put(paths.manifest(repository.name, digest), b"{}")
    run = Run(store)
    found = await run()
    assert [type(one) for one in found] == [Unreadable, Broken]
    assert isinstance(found[0], Unreadable)
    assert (found[0].digest, "damaged" in found[0].why) == (digest, True)
    assert (run.counts.unreadable, run.counts.broken) == (1, 1)


async def test_a_full_disk_ends_it(
    store: Store, driver: DiskDriver, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(repository, GOOD)

    async def full(*_: object) -> None:
        raise StoreFull("the disk is full.")

    monkeypatch.setattr(driver, "put", full)
    monkeypatch.setattr(driver, "put_stream", full)
    with pytest.raises(StoreFull):
        await Run(store)()


async def test_many_tags_are_counted(
    store: Store, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudge, "PAGE", 3)
    monkeypatch.setattr(rejudge, "TAGS", 4)
    await put(repository, GOOD, *(f"good{number}" for number in range(5)))
    await put(repository, BAD, *(f"bad{number}" for number in range(9)))
    (broken,) = await Run(store)()
    assert isinstance(broken, Broken)
    assert (broken.tags, broken.more) == (("bad0", "bad1", "bad2", "bad3"), 5)


async def test_what_has_a_tag_comes_first(store: Store, repository: Repository) -> None:
    for number in range(6):
        await put(repository, made(f"m{number}", HEADER), *([f"v{number}"] if number % 2 else []))
    found = await Run(store)()
    assert [broken.tags for broken in found if isinstance(broken, Broken)] == [
        ("v1",),
        ("v3",),
        ("v5",),
        (),
        (),
        (),
    ]


async def test_repositories_come_in_order_and_on_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejudge, "PAGE", 2)
    names = ["a", "a/b", "b", "c-d", "c/d"]
    for name in reversed(names):
        await put(store.repository(name), BAD, "v1")
    run = Run(store)
    assert [found.repository for found in await run()] == ["a", "a/b", "b", "c-d", "c/d"]
    assert run.counts.repositories == 5
