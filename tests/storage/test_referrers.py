from __future__ import annotations

import pytest

from storage import manifest as manifests
from storage import paths
from storage import referrers as under_test
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.referrers import Referrers
from storage.repositories import Repository
from storage.store import Store
from tests.storage.conftest import LIMIT
from tests.storage.content import described, image, put
from tests.storage.streams import collect

SUBJECT = described(b"a subject that is not here", OCI_MANIFEST)


async def all_of(referrers: Referrers, subject: Digest) -> list[list[Descriptor]]:
    """The rows, page by page."""
    pages, after = [], ""
    while True:
        rows, after = await referrers.page(subject, after=after)
        pages.append(rows)
        if not after:
            return pages


async def test_a_row_says_what_its_manifest_is(repository: Repository) -> None:
    body = image(subject=SUBJECT, kind="application/x", annotations={"a": "ä"})
    pushed = await put(repository, body)
    row = Descriptor(OCI_MANIFEST, pushed.digest, len(body), "application/x", {"a": "ä"})
    assert await repository.referrers.page(SUBJECT.digest) == ([row], "")


async def test_the_kind_of_an_image_is_that_of_its_config(repository: Repository) -> None:
    await put(repository, image(subject=SUBJECT))
    rows, _ = await repository.referrers.page(SUBJECT.digest)
    assert [row.artifact_type for row in rows] == ["application/vnd.oci.image.config.v1+json"]


async def test_nothing_refers(repository: Repository) -> None:
    await put(repository, image(subject=SUBJECT))
    assert await repository.referrers.page(Digest.of(b"another")) == ([], "")


async def test_a_subject_of_sha512(repository: Repository) -> None:
    subject = Descriptor(OCI_MANIFEST, Digest.of(b"x", "sha512"), 1)
    pushed = await put(repository, image(subject=subject))
    rows, _ = await repository.referrers.page(subject.digest)
    assert [row.digest for row in rows] == [pushed.digest]


async def test_rows_are_the_repositorys_own(store: Store, repository: Repository) -> None:
    await put(repository, image(subject=SUBJECT))
    for name in ("team", "team/b", "team/a/b"):
        assert await store.repository(name).referrers.page(SUBJECT.digest) == ([], "")


async def test_pages_have_every_row_once_in_order(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "PAGE", 3)
    monkeypatch.setattr(under_test, "_AT_ONCE", 2)
    pushed = [
        (await put(repository, image(subject=SUBJECT, annotations={"at": str(at)}))).digest for at in range(7)
    ]
    pages = await all_of(repository.referrers, SUBJECT.digest)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [row.digest for page in pages for row in page] == sorted(pushed, key=str)


async def test_a_row_without_its_manifest_is_never_shown(
    repository: Repository, driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "PAGE", 2)
    pushed = [await put(repository, image(subject=SUBJECT, annotations={"at": str(at)})) for at in range(5)]
    pushed.sort(key=lambda descriptor: str(descriptor.digest))
    for descriptor in (pushed[0], pushed[1], pushed[4]):
        await driver.delete(paths.manifest("team/a", descriptor.digest))
    pages = await all_of(repository.referrers, SUBJECT.digest)
    assert [[row.digest for row in page] for page in pages] == [[], [pushed[2].digest, pushed[3].digest], []]


async def test_a_row_added_before_its_manifest_waits_for_it(repository: Repository) -> None:
    body = image(subject=SUBJECT)
    row = described(body, OCI_MANIFEST)
    await repository.referrers.add(SUBJECT.digest, row)
    assert await repository.referrers.has(SUBJECT.digest, row.digest)
    assert await repository.referrers.page(SUBJECT.digest) == ([], "")
    await put(repository, body)
    rows, _ = await repository.referrers.page(SUBJECT.digest)
    assert [found.digest for found in rows] == [row.digest]


async def test_removing_is_idempotent(repository: Repository) -> None:
    pushed = await put(repository, image(subject=SUBJECT))
    for _ in range(2):
        await repository.referrers.remove(SUBJECT.digest, pushed.digest)
    assert not await repository.referrers.has(SUBJECT.digest, pushed.digest)
    assert await repository.referrers.page(SUBJECT.digest) == ([], "")


async def test_a_damaged_row_is_told(repository: Repository, driver: DiskDriver) -> None:
    pushed = await put(repository, image(subject=SUBJECT))
    await driver.put(paths.referrer("team/a", SUBJECT.digest, pushed.digest), b"")
    with pytest.raises(StoreUnavailable):
        await repository.referrers.page(SUBJECT.digest)


async def test_a_page_ends_at_its_bytes(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "PAGE_BYTES", 1000)
    sizes = (10, 400, 5000, 10, 400, 400)
    pushed = [
        (await put(repository, image(subject=SUBJECT, annotations={"a": "x" * size, "at": str(at)}))).digest
        for at, size in enumerate(sizes)
    ]
    pages = await all_of(repository.referrers, SUBJECT.digest)
    assert [row.digest for page in pages for row in page] == sorted(pushed, key=str)
    assert len(pages) > 1
    assert all(len(page) == 1 or sum(len(row.annotations["a"]) for row in page) < 1000 for page in pages)


@pytest.mark.parametrize("is_ours", [True, False], ids=["this format", "the former one"])
async def test_many_beside_a_manifest_are_stored_at_once(driver: DiskDriver, is_ours: bool) -> None:
    """What they name comes before them, whichever release reads them."""
    store = Store(driver, upload_limit=LIMIT)
    if not is_ours:
        await driver.put(paths.FORMAT, b'{"format":1}')
    await store.open()
    repository = store.repository("team/a")
    bodies = [image(b"signature", annotations={"at": str(at)}, subject=SUBJECT) for at in range(2)]
    rows = [described(body, OCI_MANIFEST) for body in bodies]
    first = await repository.blobs.enclosed(b"signature", b"{}")
    for row in rows:
        first |= repository.referrers.written(SUBJECT.digest, row)
    stored = await repository.store_all_beside(OCI_MANIFEST, bodies, first)
    assert [one.descriptor for one in stored] == rows
    for one, body in zip(stored, bodies, strict=True):
        assert (await repository.get(one.digest)).body == body
        assert await repository.missing(manifests.parse(body, "")) == []
    found, _ = await repository.referrers.page(SUBJECT.digest)
    assert {row.digest for row in found} == {row.digest for row in rows}
    blob = await repository.blobs.open(Digest.of(b"signature"))
    assert await collect(repository.blobs.read(blob)) == b"signature"


async def test_rows_alone(repository: Repository) -> None:
    """For who reads the manifests next: whether they are here is not looked at."""
    pushed = await put(repository, image(subject=SUBJECT))
    gone = described(b"gone", OCI_MANIFEST)
    await repository.referrers.add(SUBJECT.digest, gone)
    rows, _ = await repository.referrers.page(SUBJECT.digest, looks=False)
    assert {row.digest for row in rows} == {pushed.digest, gone.digest}
    assert await repository.referrers.noted(SUBJECT.digest) == {str(pushed.digest), str(gone.digest)}
    assert await repository.referrers.noted(gone.digest) == set()
