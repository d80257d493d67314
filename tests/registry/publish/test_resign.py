"""Signing again: all that the registry signed before, and nothing else; and again where it was stopped."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest

from registry.publish import ours
from registry.publish.resign import Counts, Resign, Share
from registry.publish.signatures import Signer
from registry.signing import bundle, cosign
from registry.signing.admission import ADMITTED, Admission
from registry.signing.keys import SigningKey, new_key
from registry.signing.ring import KeyRing
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreFull
from storage.manifest import OCI_MANIFEST, Descriptor, parse
from storage.repositories import Repository
from storage.store import Store

OLD, NEW, FOREIGN = new_key(), new_key(), new_key()
RING = KeyRing.of(NEW, OLD.public)
SAID = Admission("bob", "2026-11-29T20:00:00Z", "warn", ("istio",), ("1.40",), 5, Digest.of(b"findings"))


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(DiskDriver(tmp_path), upload_limit=1 << 30)
    await store.open()
    return store


async def put(repository: Repository, title: str, *keys: SigningKey) -> Digest:
    """Store a manifest and let these keys sign it."""
    config = Descriptor("a/b", Digest.of(b"{}"), 2).to_json()
    document = {"schemaVersion": 2, "config": config, "layers": [], "annotations": {"title": title}}
    body = json.dumps(document).encode()
    digest = Digest.of(body)
    await repository.put(parse(body, OCI_MANIFEST), body, digest)
    for key in keys:
        signed = Descriptor(OCI_MANIFEST, digest, len(body))
        await Signer(KeyRing.of(key), "here:5000").sign(repository, signed, SAID)
    return digest


async def resigned(store: Store, *, bundles: bool = True) -> Counts:
    return await Resign(store, Signer(RING, "here:5000", bundles=bundles), lambda *_: None).run()


async def signers(repository: Repository, digest: Digest) -> tuple[list[str], list[tuple[str, str]]]:
    """Who signed under cosign's tag, in order, and by bundles, of our keys and the foreign one."""
    ring = KeyRing.of(NEW, OLD.public, FOREIGN.public)
    tagged = await ours.tagged(repository, digest)
    assert tagged.manifest
    layers = await ours.layers(repository, tagged.manifest, digest, ring)
    bundles = [(one.key_id, one.statement.kind) for one in await ours.bundles(repository, digest, ring)]
    return [key.key_id for _, key in layers], sorted(bundles)


def both(*keys: SigningKey) -> list[tuple[str, str]]:
    return sorted((key.key_id, kind) for key in keys for kind in (bundle.SIGNED, ADMITTED))


async def test_what_an_older_key_signed_is_signed_by_the_key_of_now_too(store: Store) -> None:
    one, two = store.repository("team/a"), store.repository("team/b")
    digests = [
        (one, await put(one, "1", OLD)),
        (one, await put(one, "2", OLD)),
        (two, await put(two, "3", OLD)),
    ]
    assert await resigned(store) == Counts(repositories=2, seen=3, anew=3)
    for repository, digest in digests:
        assert await signers(repository, digest) == ([OLD.key_id, NEW.key_id], both(OLD, NEW))
    said = {one.payload for one in await ours.bundles(*digests[0], RING) if one.statement.kind == ADMITTED}
    assert said == {SAID.statement("here:5000/team/a", digests[0][1])}  # as it was said then


async def test_again_nothing_is_to_be_done(store: Store) -> None:
    repository = store.repository("team/a")
    digest = await put(repository, "1", OLD)
    await resigned(store)
    before = await repository.tags.held(cosign.signature_tag(digest))
    assert await resigned(store) == Counts(repositories=1, seen=1)
    assert await repository.tags.held(cosign.signature_tag(digest)) == before


async def test_what_is_half_done_is_done(store: Store) -> None:
    repository = store.repository("team/a")
    digest = await put(repository, "1", OLD)
    await resigned(store)
    for found in await ours.bundles(repository, digest, KeyRing.of(NEW)):
        await repository.delete(found.stored.digest)
    assert await resigned(store) == Counts(repositories=1, seen=1, anew=1)
    assert await signers(repository, digest) == ([OLD.key_id, NEW.key_id], both(OLD, NEW))


async def test_what_others_signed_is_left_alone(store: Store) -> None:
    repository = store.repository("team/a")
    theirs, none = await put(repository, "1", FOREIGN), await put(repository, "2")
    mixed = await put(repository, "3", FOREIGN, OLD)
    assert await resigned(store) == Counts(repositories=1, seen=1, anew=1)
    assert await signers(repository, theirs) == ([FOREIGN.key_id], both(FOREIGN))
    keys = [FOREIGN.key_id, OLD.key_id, NEW.key_id]
    assert await signers(repository, mixed) == (keys, both(FOREIGN, OLD, NEW))
    assert (await resigned(store)).anew == 0
    assert await repository.tags.held(cosign.signature_tag(none)) is None


async def test_beside_others_under_the_tag_there_are_no_bundles(store: Store) -> None:
    repository = store.repository("team/a")
    digest = await put(repository, "1")
    signed, _ = await repository.find(digest)
    for key in (FOREIGN, OLD):
        await Signer(KeyRing.of(key), "here:5000", bundles=False).sign(repository, signed)
    for anew in (1, 0):
        assert await resigned(store) == Counts(repositories=1, seen=1, anew=anew)
    assert await signers(repository, digest) == ([FOREIGN.key_id, OLD.key_id, NEW.key_id], [])


async def test_without_bundles(store: Store) -> None:
    repository = store.repository("team/a")
    digest = await put(repository, "1", OLD)
    for anew in (1, 0):
        assert await resigned(store, bundles=False) == Counts(repositories=1, seen=1, anew=anew)
    assert await signers(repository, digest) == ([OLD.key_id, NEW.key_id], both(OLD))


async def test_a_signature_whose_manifest_is_gone_is_nobody_s(store: Store) -> None:
    repository = store.repository("team/a")
    digest = await put(repository, "1", OLD)
    await repository.delete(digest)
    assert await resigned(store) == Counts(repositories=1)


async def test_damage_is_counted_and_the_rest_is_done(store: Store, tmp_path: Path) -> None:
    repository = store.repository("team/a")
    damaged, whole = await put(repository, "1", OLD), await put(repository, "2", OLD)
    (tmp_path / "repositories/team/a/_manifests/sha256" / damaged.hex).write_bytes(b"damaged")
    assert await resigned(store) == Counts(repositories=1, seen=1, anew=1, unreadable=1)
    assert (await signers(repository, whole))[0] == [OLD.key_id, NEW.key_id]


async def test_a_full_store_ends_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(store.repository("team/a"), "1", OLD)

    async def full(*_: object) -> None:
        raise StoreFull("full.", fix="Make room.")

    monkeypatch.setattr(Signer, "sign_further", full)
    with pytest.raises(StoreFull):
        await resigned(store)


async def test_how_far_it_is_is_told(store: Store) -> None:
    await put(store.repository("team/a"), "1", OLD)
    told: list[tuple[str, int]] = []
    await Resign(store, Signer(RING, "here"), lambda name, counts: told.append((name, counts.anew))).run()
    assert told[-1] == ("team/a", 1)


def test_shares_are_all_and_have_nothing_in_common() -> None:
    digests = [Digest.of(str(number).encode()) for number in range(200)]
    shares = [Share(number, 3) for number in range(3)]
    found = [[digest for digest in digests if share.holds(digest)] for share in shares]
    assert sorted(chain(*found), key=str) == sorted(digests, key=str)
    assert all(found)
    assert all(Share().holds(digest) for digest in digests)
