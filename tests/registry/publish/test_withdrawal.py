"""What a deletion takes along, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.publish import ours
from registry.publish.signatures import Signer
from registry.publish.withdrawal import withdraw
from registry.signing import bundle, cosign
from registry.signing.admission import Admission
from registry.signing.keys import SigningKey, new_key
from registry.signing.ring import KeyRing
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_MANIFEST, Descriptor, parse
from storage.repositories import Repository, StoredManifest
from storage.store import Store
from tests.registry.consumers.shapes import B
from tests.registry.talk import Registry

KEY, OLD, FOREIGN = new_key(), new_key(), new_key()
RING = KeyRing.of(KEY, OLD.public)
BODY = b'{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"%s","size":2},"layers":[]}' % (
    str(Digest.of(b"{}")).encode()
)
DIGEST = Digest.of(BODY)
SIGNED = Descriptor(OCI_MANIFEST, DIGEST, len(BODY))
SIGNER = Signer(RING, "here:5000")
TAG = cosign.signature_tag(DIGEST)
SAID = Admission("bob", "2026-11-29T20:00:00Z", "warn", ("istio",), ("1.40",), 5, Digest.of(b"findings"))


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    store = Store(DiskDriver(tmp_path), upload_limit=1 << 30)
    await store.open()
    return store.repository("team/wasm")


async def put(repository: Repository) -> StoredManifest:
    return await repository.put(parse(BODY, OCI_MANIFEST), BODY, DIGEST)


async def sign(repository: Repository, *keys: SigningKey) -> None:
    for key in keys:
        await Signer(KeyRing.of(key), "here:5000").sign(repository, SIGNED, SAID)


async def left(repository: Repository) -> tuple[list[str], int, int]:
    """The tags, the manifests, and the bundles of ours and of the foreign key."""
    tags = list((await repository.tags.page()).names)
    bundles = await ours.bundles(repository, DIGEST, KeyRing.of(KEY, OLD.public, FOREIGN.public))
    return tags, len([digest async for digest in repository.digests()]), len(bundles)


async def test_all_of_ours_goes_by_whichever_of_our_keys(repository: Repository) -> None:
    await put(repository)
    await sign(repository, OLD, KEY)
    # The last manifest under the tag, the one before it, two signatures and two admissions.
    assert await left(repository) == ([TAG], 7, 4)
    await repository.delete(DIGEST)
    await withdraw(repository, DIGEST, SIGNER)
    tags, manifests, bundles = await left(repository)
    assert (tags, bundles) == ([], 0)
    assert manifests == 1  # that which the tag named before


async def test_what_others_attached_stays(repository: Repository) -> None:
    await put(repository)
    await sign(repository, KEY, FOREIGN)
    await repository.delete(DIGEST)
    await withdraw(repository, DIGEST, SIGNER)
    tags, _, bundles = await left(repository)
    assert (tags, bundles) == ([TAG], 2)
    assert await ours.bundles(repository, DIGEST, RING) == []


async def test_nothing_to_withdraw(repository: Repository) -> None:
    await withdraw(repository, DIGEST, SIGNER)
    assert await left(repository) == ([], 0, 0)


async def test_a_push_meanwhile_keeps_its_signatures(repository: Repository) -> None:
    """It found the tag, and so wrote nothing that was there."""
    await put(repository)
    await sign(repository, KEY)
    before = await left(repository)
    await repository.delete(DIGEST)
    await put(repository)
    await withdraw(repository, DIGEST, SIGNER)
    assert await left(repository) == before


async def test_a_tag_that_moved_meanwhile_stays(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(repository)
    await sign(repository, KEY)
    await repository.delete(DIGEST)
    remove = repository.remove

    async def removed(digest: Digest) -> None:
        await remove(digest)
        await sign(repository, FOREIGN)

    monkeypatch.setattr(repository, "remove", removed)
    await withdraw(repository, DIGEST, SIGNER)
    tags, _, _ = await left(repository)
    assert tags == [TAG]
    found = await ours.tagged(repository, DIGEST)
    assert found.manifest and await ours.layers(repository, found.manifest, DIGEST, KeyRing.of(FOREIGN))


async def test_a_damaged_one_is_no_signature(repository: Repository) -> None:
    body = json.dumps(json.loads(bundle.sign(SIGNED, KEY).manifest)).encode()
    await repository.put(parse(body, OCI_MANIFEST), body, Digest.of(body))
    assert await ours.bundles(repository, DIGEST, RING) == []  # its bundle is not here
    await withdraw(repository, DIGEST, SIGNER)
    assert (await repository.get(Digest.of(body))).body == body


def test_by_a_request(registry: Registry) -> None:
    registry.push(B)
    assert len(registry.get(f"{registry.base}/referrers/{B.digest}").json["manifests"]) == 2
    assert registry.ask("DELETE", f"{registry.base}/manifests/{B.digest}").status == 202
    assert registry.get(f"{registry.base}/tags/list").json["tags"] == []
    assert registry.get(f"{registry.base}/referrers/{B.digest}").json["manifests"] == []
    assert registry.push(B).status == 201
    assert len(registry.get(f"{registry.base}/referrers/{B.digest}").json["manifests"]) == 2


async def test_one_that_ended_in_the_middle_is_ended(repository: Repository) -> None:
    await put(repository)
    await sign(repository, KEY)
    await repository.delete(DIGEST)
    await repository.tags.delete(TAG)
    await withdraw(repository, DIGEST, SIGNER)
    assert await left(repository) == ([], 0, 0)
