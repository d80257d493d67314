from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial

import pytest

from storage import manifest as manifests
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository, StoredManifest
from storage.store import Store
from tests.storage.conftest import LIMIT, objects
from tests.storage.content import LAYER_TYPE, described, image, index, put, put_blob, put_signature
from tests.storage.streams import collect, outcome, together
from tests.storage.turns import Story, Turns, each_order

SUBJECT = described(b"a subject", OCI_MANIFEST)
LAYER = b"a layer"


async def test_a_manifest_comes_and_goes(repository: Repository, driver: DiskDriver) -> None:
    body = image(LAYER, annotations={"a": "b"})
    pushed = await put(repository, body, "latest", "v1")
    for reference in (pushed.digest, "latest", "v1"):
        descriptor, witness = await repository.find(reference)
        assert descriptor == Descriptor(OCI_MANIFEST, Digest.of(body), len(body))
        assert witness.holds(driver)
        stored = await repository.get(reference)
        assert (stored.descriptor, stored.body) == (descriptor, body)
        assert await collect(repository.read(descriptor, 1, 5)) == body[1:5]
    await repository.derived.keep(pushed.digest, {"rules": 1})
    await repository.delete(pushed.digest)
    assert not witness.holds(driver)
    assert await repository.derived.find(pushed.digest) is None
    assert (await repository.tags.page()).names == ()
    for reference in (pushed.digest, "latest"):
        assert await outcome(repository.find(reference)) is ManifestUnknown
    assert await outcome(repository.delete(pushed.digest)) is ManifestUnknown


async def test_a_manifest_of_sha512(repository: Repository) -> None:
    body = image(LAYER)
    digest = Digest.of(body, "sha512")
    await repository.put(manifests.parse(body, ""), body, digest)
    assert (await repository.get(digest)).body == body
    assert await outcome(repository.find(Digest.of(body))) is ManifestUnknown


async def test_a_manifest_with_its_blobs(store: Store, repository: Repository, driver: DiskDriver) -> None:
    """What `put` makes of a manifest and its blobs, but for the catalog: that is for what it belongs to."""
    body, other, parts = image(LAYER), store.repository("other"), (LAYER, b"{}")
    for part in parts:
        await put_blob(repository, part)
    await put(repository, body)
    for _ in range(2):
        stored = await put_signature(other, body, *parts)
        assert stored == StoredManifest(described(body, OCI_MANIFEST), body)
        assert not await other.missing(manifests.parse(body, ""))
        assert (await other.get(Digest.of(body))).body == body
    for part in parts:
        blob = await other.blobs.open(Digest.of(part))
        assert (blob.size, await collect(other.blobs.read(blob))) == (len(part), part)
    assert (await store.catalog()).names == (repository.name,)
    assert len([key for key in objects(driver) if "/other/" in key]) == 3


async def test_the_same_manifest_again_adds_nothing(repository: Repository, driver: DiskDriver) -> None:
    body = image(LAYER, subject=SUBJECT)
    await put(repository, body, "v1")
    before = objects(driver)
    await put(repository, body, "v1")
    assert objects(driver) == before


async def test_delete_takes_what_is_left_of_it_in_the_trash(
    repository: Repository, driver: DiskDriver
) -> None:
    body = image(LAYER)
    await put_blob(repository, LAYER)
    await put_blob(repository, b"{}")
    pushed = await put(repository, body)
    key = paths.manifest("team/a", pushed.digest)
    await driver.put(paths.trash(key), pushed.written())
    await repository.delete(pushed.digest)
    above = manifests.parse(index(pushed.descriptor), "")
    assert await repository.missing(above) == [pushed.digest]


async def test_delete_takes_its_tags_and_its_row_and_no_others(repository: Repository) -> None:
    one = await put(repository, image(subject=SUBJECT, kind="a/one"), "one", "moved")
    two = await put(repository, image(subject=SUBJECT, kind="a/two"), "two", "moved")
    await repository.delete(one.digest)
    assert (await repository.tags.page()).names == ("moved", "two")
    rows, _ = await repository.referrers.page(SUBJECT.digest)
    assert [row.digest for row in rows] == [two.digest]
    assert not await repository.referrers.has(SUBJECT.digest, one.digest)
    await put(repository, image(subject=SUBJECT, kind="a/one"))
    assert len((await repository.referrers.page(SUBJECT.digest))[0]) == 2


async def test_what_refers_to_a_manifest_stays_when_it_goes(repository: Repository) -> None:
    subject = await put(repository, image(LAYER))
    referrer = await put(repository, image(subject=subject.descriptor))
    await repository.delete(subject.digest)
    rows, _ = await repository.referrers.page(subject.digest)
    assert [row.digest for row in rows] == [referrer.digest]


async def test_repositories_do_not_see_each_others_manifests(store: Store, repository: Repository) -> None:
    pushed = await put(repository, image(LAYER), "v1")
    other = store.repository("team/b")
    for reference in (pushed.digest, "v1"):
        assert await outcome(other.find(reference)) is ManifestUnknown
    await put(other, image(LAYER), "v1")
    await repository.delete(pushed.digest)
    assert (await other.get("v1")).body == image(LAYER)


@pytest.mark.parametrize("there", [b"", b"{}", b"{}\n", b"{}\n{}"], ids=["empty", "record", "none", "other"])
async def test_bytes_that_do_not_hash_to_their_digest_are_never_given(
    repository: Repository, driver: DiskDriver, there: bytes
) -> None:
    pushed = await put(repository, image(LAYER), "v1")
    await driver.put(paths.manifest(repository.name, pushed.digest), there)
    for reference in (pushed.digest, "v1"):
        with pytest.raises(StoreUnavailable):
            await repository.get(reference)
    await put(repository, image(LAYER))
    assert (await repository.get("v1")).body == image(LAYER)
    await driver.put(paths.manifest(repository.name, pushed.digest), there)
    await repository.delete(pushed.digest)
    assert await outcome(repository.find("v1")) is ManifestUnknown


async def test_a_manifest_that_goes_while_it_is_read(repository: Repository) -> None:
    pushed = await put(repository, image(LAYER), "v1")
    reading = repository.read(pushed.descriptor)
    await repository.delete(pushed.digest)
    with pytest.raises(ManifestUnknown):
        await anext(reading)


# What a manifest needs


async def test_what_an_image_misses(repository: Repository) -> None:
    manifest = manifests.parse(image(LAYER, b"another", LAYER), "")
    config, layer, other = Digest.of(b"{}"), Digest.of(LAYER), Digest.of(b"another")
    assert await repository.missing(manifest) == [config, layer, other]
    await put_blob(repository, LAYER)
    assert await repository.missing(manifest) == [config, other]
    await put_blob(repository, b"{}")
    await put_blob(repository, b"another")
    assert await repository.missing(manifest) == []


async def test_what_an_index_misses(store: Store, repository: Repository) -> None:
    child, nested = described(image(LAYER), OCI_MANIFEST), index()
    manifest = manifests.parse(index(child, described(nested, manifests.OCI_INDEX)), "")
    await store.repository("team/b").put(manifests.parse(nested, ""), nested, Digest.of(nested))
    await put_blob(repository, image(LAYER))
    assert await repository.missing(manifest) == [child.digest, Digest.of(nested)]
    await put(repository, image(LAYER))
    await put(repository, nested)
    assert await repository.missing(manifest) == []


async def test_all_its_manifests_page_by_page(store: Store, repository: Repository) -> None:
    stored = [await put(repository, image(bytes((number,)))) for number in range(7)]
    body = image(b"long")
    long = await repository.put(manifests.parse(body, ""), body, Digest.of(body, "sha512"))
    await put(store.repository("another"), image(b"elsewhere"))
    for page in (1, 3, 7, 100):
        found = [digest async for digest in repository.digests(page=page)]
        assert found == [*sorted(one.digest for one in stored), long.digest]
    assert [digest async for digest in store.repository("none").digests()] == []


async def test_a_subject_need_not_be_here(repository: Repository) -> None:
    await put_blob(repository, b"{}")
    assert await repository.missing(manifests.parse(image(subject=SUBJECT), "")) == []


@pytest.mark.parametrize("sizes", [(6,), (8,), (0,), (7, 8), (8, 7), (7, 7, 6)], ids=str)
async def test_a_wrong_size_is_refused_wherever_it_stands(
    repository: Repository, sizes: Sequence[int]
) -> None:
    assert len(LAYER) == 7
    await put_blob(repository, b"{}")
    await put_blob(repository, LAYER)
    document = json.loads(image())
    document["layers"] = [{**described(LAYER, LAYER_TYPE).to_json(), "size": size} for size in sizes]
    wrong = next(size for size in sizes if size != 7)
    with pytest.raises(ManifestInvalid) as raised:
        await repository.missing(manifests.parse(json.dumps(document).encode(), ""))
    assert f"has {wrong} bytes; it has 7" in str(raised.value)


async def test_a_wrong_size_of_a_child_is_refused(repository: Repository) -> None:
    child = await put(repository, image())
    wrong = Descriptor(OCI_MANIFEST, child.digest, child.descriptor.size + 1)
    with pytest.raises(ManifestInvalid):
        await repository.missing(manifests.parse(index(wrong), ""))


async def test_an_index_calls_its_child_what_it_is(repository: Repository) -> None:
    child = await put(repository, image())
    for said in (manifests.DOCKER_MANIFEST, manifests.OCI_INDEX):
        with pytest.raises(ManifestInvalid) as raised:
            await repository.missing(
                manifests.parse(index(Descriptor(said, child.digest, child.descriptor.size)), "")
            )
        assert said in str(raised.value)


async def test_many_layers(repository: Repository) -> None:
    layers = [b"%d" % at for at in range(300)]
    assert len(await repository.missing(manifests.parse(image(*layers), ""))) == 301


# Two stories at once, in every order of their calls


class Scene:
    """A repository `team/a` of its own for each order, and what was told of it last."""

    def __init__(self, driver: DiskDriver) -> None:
        self._driver = driver
        self._number = 0
        self.repository = Store(driver, upload_limit=LIMIT).repository("scene/0")

    def next(self) -> tuple[Turns, Repository]:
        """A fresh repository whose calls wait for their turn."""
        turns, gated = Turns.over(self._driver)
        self._number += 1
        self.repository = Store(gated, upload_limit=LIMIT).repository(f"scene/{self._number}")
        return turns, self.repository

    async def is_whole(self) -> None:
        """No tag without its manifest, no linked referrer without its row, no row that dangles."""
        repository = self.repository
        for tag in (await repository.tags.page()).names:
            named, _ = await repository.tags.resolve(tag)
            assert (await repository.get(named.digest)).body
        linked = await outcome(repository.find(Digest.of(BODY))) is not ManifestUnknown
        rows, _ = await repository.referrers.page(SUBJECT.digest)
        assert [row.digest for row in rows] == ([Digest.of(BODY)] if linked else [])


BODY = image(subject=SUBJECT, kind="a/signature")


@pytest.mark.usefixtures("unsynced")
async def test_a_tag_and_a_delete_at_once(driver: DiskDriver) -> None:
    scene = Scene(driver)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns, repository = scene.next()
        pushed = await put(repository, BODY, "old")
        return turns, [partial(repository.tag, "v1", pushed), partial(repository.delete, pushed.digest)]

    async for found in each_order(begin, at_most=70):
        assert found == [None, []]
        await scene.is_whole()


@pytest.mark.usefixtures("unsynced")
async def test_a_push_and_a_delete_at_once(driver: DiskDriver) -> None:
    scene = Scene(driver)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns, repository = scene.next()
        pushed = await put(repository, BODY)
        return turns, [partial(put, repository, BODY, "v1"), partial(repository.delete, pushed.digest)]

    async for found in each_order(begin, at_most=120):
        assert found == [StoredManifest(described(BODY, OCI_MANIFEST), BODY), []]
        await scene.is_whole()


@pytest.mark.usefixtures("unsynced")
async def test_a_push_to_a_tag_while_what_it_named_is_deleted(driver: DiskDriver) -> None:
    scene = Scene(driver)
    new = image(b"the new one")

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns, repository = scene.next()
        old = await put(repository, BODY, "v1")
        pushed = await put(repository, new)
        return turns, [partial(repository.tag, "v1", pushed), partial(repository.delete, old.digest)]

    async for found in each_order(begin, at_most=70):
        assert found == [None, []]
        await scene.is_whole()
        assert (await scene.repository.get("v1")).body == new


@pytest.mark.usefixtures("unsynced")
async def test_a_delete_while_a_tag_comes_that_is_spared(driver: DiskDriver) -> None:
    """Either it all goes before, and the push brings it back; or the tag holds it."""
    scene = Scene(driver)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns, repository = scene.next()
        pushed = await put(repository, BODY)
        delete = partial(repository.delete, pushed.digest, lambda tag: tag == "v1")
        return turns, [partial(repository.tag, "v1", pushed), delete]

    async for found in each_order(begin, at_most=70):
        assert found in ([None, []], [None, ["v1"]])
        await scene.is_whole()
        assert (await scene.repository.get("v1")).body == BODY


@pytest.mark.usefixtures("unsynced")
async def test_two_deletes_at_once(driver: DiskDriver) -> None:
    scene = Scene(driver)

    async def begin() -> tuple[Turns, Sequence[Story]]:
        turns, repository = scene.next()
        pushed = await put(repository, BODY, "v1")
        return turns, [partial(repository.delete, pushed.digest)] * 2

    async for found in each_order(begin, at_most=40):
        assert [] in found
        assert all(one in ([], ManifestUnknown) for one in found)
        await scene.is_whole()


async def test_everything_at_once(driver: DiskDriver) -> None:
    """The same without turns, over several drivers: whatever wins, the repository is whole."""
    for number in range(8):
        views = [
            Store(DiskDriver(driver.root), upload_limit=LIMIT).repository(f"team/r{number}") for _ in range(3)
        ]
        pushed = await put(views[0], BODY, "v0")
        found = await together(
            *(partial(put, view, BODY, f"v{at}") for at, view in enumerate(views)),
            *(partial(view.delete, pushed.digest) for view in views),
            *(partial(view.tag, "latest", pushed) for view in views),
        )
        assert set(map(str, found)) <= set(map(str, (pushed, None, [], ManifestUnknown)))
        scene = Scene(driver)
        scene.repository = views[0]
        await scene.is_whole()
        assert await outcome(views[0].blobs.find(Digest.of(LAYER))) is BlobUnknown


async def test_when_something_was_written(repository: Repository, driver: DiskDriver) -> None:
    pushed = await put(repository, image(LAYER), "v1")
    for reference in ("v1", pushed.digest):
        _, witness = await repository.find(reference)
        os.utime(driver.root / witness.key, (5, 7))
        assert await repository.written(witness) == 7
        (driver.root / witness.key).unlink()
        with pytest.raises(ManifestUnknown):
            await repository.written(witness)


async def test_remove_leaves_the_tags(repository: Repository) -> None:
    stored = await put(repository, image(subject=SUBJECT), "v1")
    await repository.remove(stored.digest)
    assert (await repository.tags.page()).names == ("v1",)
    assert (await repository.referrers.page(SUBJECT.digest))[0] == []
    with pytest.raises(ManifestUnknown):
        await repository.remove(stored.digest)


async def test_what_is_done_with_a_delete_comes_before_tags_are_looked_for_again(
    repository: Repository,
) -> None:
    stored = await put(repository, image(LAYER), "v1")

    async def then() -> None:
        with pytest.raises(ManifestUnknown):
            await repository.find(stored.digest)
        await repository.tags.put("late", stored.descriptor)

    await repository.delete(stored.digest, then=then)
    assert (await repository.tags.page()).names == ()


async def test_whether_a_manifest_had_to_be_brought_back(repository: Repository) -> None:
    stored = await put(repository, image(LAYER))
    assert not await repository.stay(stored)
    await repository.delete(stored.digest)
    assert await repository.stay(stored)
    assert (await repository.get(stored.digest)).body == stored.body
