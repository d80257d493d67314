from __future__ import annotations

from pathlib import Path

import pytest

from registry.publish import evidence
from registry.publish.signatures import Signer
from registry.signing import bundle, cosign
from registry.signing.bundle import EMPTY
from registry.signing.keys import new_key
from registry.signing.ring import KeyRing
from registry.signing.verification import Candidate, check
from storage import manifest as manifests
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository
from storage.store import Store

KEYS = new_key(), new_key()
SIGNED = Descriptor(OCI_MANIFEST, Digest.of(b"an image"), 8)
TAG = cosign.signature_tag(SIGNED.digest)


@pytest.fixture
def driver(tmp_path: Path) -> DiskDriver:
    return DiskDriver(tmp_path)


@pytest.fixture
def repository(driver: DiskDriver) -> Repository:
    return Store(driver, upload_limit=1 << 20).repository("a")


async def attach(repository: Repository, number: int) -> Digest:
    made = bundle.sign(SIGNED, KEYS[number])
    await repository.blobs.enclose(EMPTY, made.bundle)
    await repository.put(manifests.parse(made.manifest, ""), made.manifest, made.digest)
    return made.digest


async def under_tag(repository: Repository) -> None:
    for key in KEYS:
        await Signer(KeyRing.of(key), "localhost", bundles=False).sign(repository, SIGNED)


async def found(repository: Repository) -> list[evidence.Evidence]:
    return [one async for one in evidence.find(repository, SIGNED.digest)]


async def test_nothing(repository: Repository) -> None:
    assert await found(repository) == []


async def test_both_forms_each_with_its_witness(repository: Repository) -> None:
    await under_tag(repository)
    bundles = {await attach(repository, number): number for number in range(2)}
    tagged, other, *rest = await found(repository)
    named, witness = await repository.tags.resolve(TAG)
    for one, key in ((tagged, KEYS[0]), (other, KEYS[1])):
        assert (one.candidate.form, one.candidate.at, one.witness) == ("tag", named.digest, witness)
        assert check(one.candidate, (key.public,), SIGNED.digest).ok
    for one in rest:
        key = KEYS[bundles[one.candidate.at]]
        assert check(one.candidate, (key.public,), SIGNED.digest).ok
        assert one.witness == (await repository.find(one.candidate.at))[1]
    assert len(rest) == 2


async def test_not_more_than_so_many(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST", 1)
    await under_tag(repository)
    for number in range(2):
        await attach(repository, number)
    assert [one.candidate.form for one in await found(repository)] == ["tag", "bundle"]


async def test_content_that_is_gone_signs_nothing(repository: Repository) -> None:
    await under_tag(repository)
    at = await attach(repository, 0)
    stored = manifests.parse((await repository.get(at)).body, "")
    await repository.blobs.delete(stored.layers[0].digest)
    *_, last = await found(repository)
    assert last.candidate == Candidate("bundle", at)


async def test_what_cannot_be_read_is_told_after_the_others(
    repository: Repository, driver: DiskDriver
) -> None:
    await under_tag(repository)
    at = [await attach(repository, number) for number in range(2)]
    await driver.put(paths.tag("a", TAG), b"damaged")
    await driver.put(paths.manifest("a", at[0]), b"damaged")
    each = evidence.find(repository, SIGNED.digest)
    assert (await anext(each)).candidate.at == at[1]
    with pytest.raises(StoreUnavailable):
        await anext(each)
