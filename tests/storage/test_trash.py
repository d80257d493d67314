from __future__ import annotations

from collections import Counter

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, ManifestUnknown
from storage.manifest import OCI_MANIFEST
from storage.repositories import Repository
from storage.store import Store
from storage.trash import Trash
from tests.storage.conftest import objects
from tests.storage.content import described, image, index, put, put_blob, put_signature

LAYER, OTHER = b"a layer", b"another layer"


async def away(driver: DiskDriver, *keys: str) -> None:
    """Move objects to the trash: these, or all but the catalog."""
    for key in keys or [key for key in objects(driver) if key.startswith(("repositories/", "blobs/"))]:
        await driver.move(key, paths.trash(key))


async def pushed(repository: Repository) -> Digest:
    """An index, tagged v1, of an image with its signature and a referrer."""
    for data in (LAYER, OTHER, b"{}"):
        await put_blob(repository, data)
    child = await put(repository, image(LAYER))
    signature = await put_signature(repository, image(b"payload"), b"payload")
    await repository.tag(f"sha256-{child.digest.hex}.sig", signature)
    await put(repository, image(OTHER, subject=child.descriptor))
    await repository.derived.keep(child.digest, {"rules": 1})
    return (await put(repository, index(child.descriptor), "v1")).digest


@pytest.mark.parametrize("by", ["tag", "digest", "all"])
async def test_all_that_belongs_to_it_comes_back(driver: DiskDriver, repository: Repository, by: str) -> None:
    digest, trash = await pushed(repository), Trash(driver, repository.name)
    before = objects(driver)
    await away(driver)
    restored = await (trash.restore_all() if by == "all" else trash.restore("v1" if by == "tag" else digest))
    assert (len(restored.manifests), restored.missing) == (4, [])
    if by == "digest":
        assert (len(restored.tags), await driver.move(*by_hand(paths.tag("team/a", "v1")))) == (1, True)
    else:
        assert len(restored.tags) == 2
    assert objects(driver) == before
    again = await trash.restore(digest)
    assert (again.manifests, again.tags, again.missing) == ([], [], [])


def by_hand(key: str) -> tuple[str, str]:
    return paths.trash(key), key


async def test_a_blob_comes_back_from_where_it_is(driver: DiskDriver, repository: Repository) -> None:
    trash, digest = Trash(driver, repository.name), Digest.of(LAYER)
    link, content = paths.blob_link("team/a", digest), paths.blob(digest)
    for gone in ([], [content], [link], [link, content]):
        await put_blob(repository, LAYER)
        await away(driver, *gone) if gone else None
        assert await trash.link(digest)
        assert (await repository.blobs.open(digest)).size == len(LAYER)
    await driver.move(link, paths.unlinked("team/a", digest))
    assert await trash.link(digest)


async def test_nobody_gets_what_only_another_repository_had(
    driver: DiskDriver, store: Store, repository: Repository
) -> None:
    """A sparse manifest may name what is another's."""
    await put_blob(store.repository("another"), LAYER)
    await put_blob(repository, b"{}")
    sparse = await put(repository, image(LAYER), "v1")
    await away(driver, paths.manifest("team/a", sparse.digest), paths.tag("team/a", "v1"))
    restored = await Trash(driver, "team/a").restore("v1")
    assert (restored.manifests, restored.tags) == ([sparse.digest], ["v1"])
    assert restored.missing == [Digest.of(LAYER)]
    with pytest.raises(BlobUnknown):
        await repository.blobs.find(Digest.of(LAYER))


async def test_what_is_purged_is_told_and_linked_by_nobody(
    driver: DiskDriver, repository: Repository
) -> None:
    digest = await pushed(repository)
    await away(driver)
    await driver.delete(paths.trash(paths.blob(Digest.of(LAYER))))
    restored = await Trash(driver, repository.name).restore(digest)
    assert restored.missing == [Digest.of(LAYER)]
    with pytest.raises(BlobUnknown):
        await repository.blobs.find(Digest.of(LAYER))


async def test_a_tag_that_names_something_else_by_now_stays(
    driver: DiskDriver, repository: Repository
) -> None:
    await put_blob(repository, b"{}")
    old = await put(repository, image(kind="a/old"), "v1")
    await away(driver, paths.manifest("team/a", old.digest), paths.tag("team/a", "v1"))
    new = await put(repository, image(kind="a/new"), "v1")
    restored = await Trash(driver, "team/a").restore("v1")
    assert (restored.manifests, restored.tags) == ([old.digest], [])
    assert (await repository.get("v1")).digest == new.digest
    assert (await repository.get(old.digest)).body == old.body


async def test_what_was_never_there(driver: DiskDriver, repository: Repository) -> None:
    trash = Trash(driver, repository.name)
    for reference in ("v1", Digest.of(b"none")):
        with pytest.raises(ManifestUnknown) as raised:
            await trash.restore(reference)
        assert "team/a" in raised.value.message
    with pytest.raises(ManifestUnknown):
        await trash.restore_all()


async def test_a_long_chain_of_referrers(driver: DiskDriver, repository: Repository) -> None:
    await put_blob(repository, b"{}")
    last = described(b"none", OCI_MANIFEST)
    chain = []
    for _ in range(60):
        stored = await put(repository, image(subject=last))
        chain.append(stored.digest)
        last = stored.descriptor
    await away(driver)
    restored = await Trash(driver, "team/a").restore(chain[0])
    assert set(restored.manifests) == set(chain)


async def test_what_many_ways_lead_to_is_looked_at_once(driver: DiskDriver, repository: Repository) -> None:
    """Of two indexes each names both of the two before: the ways double with every step."""
    await put_blob(repository, b"{}")
    one, other = [await put(repository, image(kind=f"a/{at}")) for at in range(2)]
    for _ in range(10):
        pair = one.descriptor, other.descriptor
        one, other = [await put(repository, index(*both)) for both in (pair, pair[::-1])]
    await away(driver)
    get, read, root = driver.get, Counter[str](), paths.trash(paths.manifest("team/a", one.digest))

    async def counted(key: str) -> bytes:
        read[key] += 1
        return await get(key)

    driver.get = counted  # type: ignore[method-assign]
    restored = await Trash(driver, "team/a").restore(one.digest)
    assert len(restored.manifests) == 1 + 2 * 10
    keys = [paths.trash(paths.manifest("team/a", digest)) for digest in restored.manifests]
    assert [read[key] for key in keys if key != root] == [1] * 20


async def test_a_damaged_manifest_comes_back_as_it_was(driver: DiskDriver, repository: Repository) -> None:
    key = paths.manifest("team/a", Digest.of(b"damaged"))
    await driver.put(paths.trash(key), b"damaged")
    assert (await Trash(driver, "team/a").restore(Digest.of(b"damaged"))).manifests == [Digest.of(b"damaged")]
    assert await driver.get(key) == b"damaged"
