from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from registry.publish.signatures import Signer
from registry.publish.verifier import Verified, Verifier
from registry.signing import bundle, cosign
from registry.signing.admission import ADMITTED
from registry.signing.bundle import BUNDLE_TYPE, EMPTY, Attached, Statement
from registry.signing.keys import SigningKey, new_key
from registry.signing.ring import KeyRing
from storage import manifest as manifests
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Page
from storage.errors import ManifestUnknown, StoreUnavailable
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from storage.repositories import Repository, StoredManifest
from storage.store import Store

KEY, FOREIGN = new_key(), new_key()
HOST = "localhost:5000"


class Far(DiskDriver):
    """A store that counts what it is asked; `fails` is a part of the keys that it cannot read."""

    remote = False
    calls = 0
    fails = "nothing"

    async def get(self, key: str) -> bytes:
        self._ask(key)
        return await super().get(key)

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        self._ask(prefix)
        return await super().children(prefix, after=after, limit=limit)

    def _ask(self, key: str) -> None:
        self.calls += 1
        if self.fails in key:
            raise StoreUnavailable("it fails.", fix="")


def body(name: str, *children: StoredManifest, **more: Any) -> bytes:
    """An image, or an index of these."""
    document: dict[str, Any] = {"schemaVersion": 2, "annotations": {"name": name}}
    if children:
        named = [one.descriptor.to_json() for one in children]
        return json.dumps(document | {"mediaType": OCI_INDEX, "manifests": named} | more).encode()
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", Digest.of(b"layer"), 5)
    config = Descriptor("application/vnd.oci.image.config.v1+json", Digest.of(b"{}"), 2)
    document |= {"mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [layer.to_json()]}
    return json.dumps(document | more).encode()


@pytest.fixture
def driver(tmp_path: Path) -> Far:
    return Far(tmp_path)


@pytest.fixture
def repository(driver: Far) -> Repository:
    return Store(driver, upload_limit=1 << 20).repository("prod/a")


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(lambda name: (KEY.public,) if name == "prod/a" else (), HOST)


async def put(repository: Repository, data: bytes, *tags: str) -> StoredManifest:
    stored = await repository.put(manifests.parse(data, ""), data, Digest.of(data))
    for tag in tags:
        await repository.tag(tag, stored)
    return stored


async def sign(
    repository: Repository, stored: StoredManifest, form: str = "tag", key: SigningKey = KEY
) -> None:
    if form == "tag":
        await Signer(KeyRing.of(key), HOST, bundles=False).sign(repository, stored.descriptor)
    else:
        await attach(repository, bundle.sign(stored.descriptor, key))


async def attach(repository: Repository, made: Attached) -> None:
    await repository.blobs.enclose(EMPTY, made.bundle)
    await put(repository, made.manifest)


async def pulled(verifier: Verifier, repository: Repository, reference: str | Digest) -> Digest | None:
    """What who may not push gets."""
    try:
        found, witness = await verifier.find(repository, reference, may_push=False)
    except ManifestUnknown:
        return None
    assert witness is None or await repository.holds(witness)
    return found.digest


async def answered(verifier: Verifier, repository: Repository, *tags: str) -> dict[str, Digest]:
    pushed = body("pushed")
    return await verifier.before(repository, manifests.parse(pushed, ""), Digest.of(pushed), tags)


async def test_nothing_is_asked_elsewhere(driver: Far, verifier: Verifier) -> None:
    other = Store(driver, upload_limit=1 << 20).repository("dev/a")
    stored = await put(other, body("one"), "v1")
    assert not verifier.asks(other)
    driver.calls = 0
    found, witness = await verifier.find(other, "v1", may_push=False)
    assert (found.digest, witness and witness.beside) == (stored.digest, ())
    assert driver.calls == 1, "it costs nothing where nothing is asked"
    assert await verifier.verified(other, stored.digest) is None


@pytest.mark.parametrize("form", ["tag", "bundle"])
async def test_held_back_until_it_is_signed(repository: Repository, verifier: Verifier, form: str) -> None:
    stored = await put(repository, body("one"), "v1")
    for reference in ("v1", stored.digest):
        assert await pulled(verifier, repository, reference) is None
        found, witness = await verifier.find(repository, reference, may_push=True)
        assert (found.digest, witness) == (stored.digest, None), "never for the hot path"
    await sign(repository, stored, form, FOREIGN)
    assert await pulled(verifier, repository, "v1") is None
    await sign(repository, stored, form)
    for reference in ("v1", stored.digest):
        for may_push in (False, True):
            found, witness = await verifier.find(repository, reference, may_push=may_push)
            assert (found.digest, len(witness.beside if witness else ())) == (stored.digest, 1)


async def test_what_is_said(repository: Repository, verifier: Verifier) -> None:
    stored = await put(repository, body("one"), "v1")
    command = f"cosign sign --key KEY {HOST}/prod/a@{stored.digest}"
    for reference in ("v1", stored.digest):
        with pytest.raises(ManifestUnknown, match="has no signature by a key that is asked for") as held:
            await verifier.find(repository, reference, may_push=False)
        assert command in held.value.fix
    found = await verifier.verified(repository, stored.digest)
    assert found and found.problem and found.problem.code == "not-signed"
    assert command in found.problem.fix
    assert await verifier.after(repository, stored.digest, []) == found.problem
    await sign(repository, stored)
    assert await verifier.verified(repository, stored.digest) == Verified(KEY.key_id)


async def test_a_signature_that_goes(repository: Repository, verifier: Verifier) -> None:
    stored = await put(repository, body("one"), "v1")
    await sign(repository, stored)
    _, witness = await verifier.find(repository, "v1", may_push=False)
    assert witness and all([await repository.holds(one) for one in witness.beside])
    await repository.tags.delete(cosign.signature_tag(stored.digest))
    assert not all([await repository.holds(one) for one in witness.beside])
    assert await pulled(verifier, repository, "v1") is None
    made = bundle.sign(stored.descriptor, KEY)
    await attach(repository, made)
    assert await pulled(verifier, repository, "v1") == stored.digest
    await repository.delete(made.digest)
    assert await pulled(verifier, repository, "v1") is None


async def test_an_attestation_is_no_signature(repository: Repository, verifier: Verifier) -> None:
    stored = await put(repository, body("one"), "v1")
    said = Statement(stored.digest, ADMITTED, {}).payload()
    made = bundle.attest(stored.descriptor, said, ADMITTED, KEY)
    await attach(repository, made)
    assert await pulled(verifier, repository, "v1") is None
    assert await pulled(verifier, repository, made.digest) == made.digest, "attachments are to be read"


async def test_signatures_of_another_manifest(repository: Repository, verifier: Verifier) -> None:
    one, two = await put(repository, body("one")), await put(repository, body("two"), "v2")
    await sign(repository, one)
    named, _ = await repository.tags.resolve(cosign.signature_tag(one.digest))
    await repository.tags.put(cosign.signature_tag(two.digest), named)
    assert await pulled(verifier, repository, "v2") is None
    assert await pulled(verifier, repository, cosign.signature_tag(two.digest)) == named.digest


async def test_a_tag_answers_what_it_named_before(repository: Repository, verifier: Verifier) -> None:
    async def move(name: str, *, signed: bool = False) -> StoredManifest:
        stored = await put(repository, body(name), "v1")
        if signed:
            await sign(repository, stored)
        return stored

    one = await move("one", signed=True)
    two = await move("two")
    three = await move("three")
    found, witness = await verifier.find(repository, "v1", may_push=False)
    assert (found.digest, witness) == (one.digest, None)
    assert (await verifier.find(repository, "v1", may_push=True))[0].digest == three.digest
    assert await answered(verifier, repository, "v1", "v2") == {"v1": one.digest}
    await sign(repository, two)
    assert await pulled(verifier, repository, "v1") == two.digest
    await repository.delete(two.digest)
    assert await pulled(verifier, repository, "v1") == one.digest
    await sign(repository, three)
    assert await pulled(verifier, repository, "v1") == three.digest
    assert await answered(verifier, repository, "v1") == {"v1": three.digest}


async def test_what_a_history_shows(repository: Repository, verifier: Verifier) -> None:
    stored = [await put(repository, body(name), "v1") for name in ("one", "two", "three")]
    await sign(repository, stored[1])
    digests = [one.digest for one in stored]
    for may_push, expected in ((True, digests[::-1]), (False, digests[1::-1])):
        history = await verifier.history(repository, "v1", may_push=may_push)
        assert [history.named.digest, *(one.descriptor.digest for one in history.former)] == expected
    with pytest.raises(ManifestUnknown):
        await verifier.history(repository, "v2", may_push=False)


async def index_of(repository: Repository, verifier: Verifier, *children: StoredManifest) -> StoredManifest:
    data = body("index", *children)
    index = await put(repository, data, "v1")
    await verifier.before(repository, manifests.parse(data, ""), index.digest, [])
    return index


async def test_who_signs_an_index_signs_what_it_names(repository: Repository, verifier: Verifier) -> None:
    child, other = await put(repository, body("child")), await put(repository, body("other"))
    index = await index_of(repository, verifier, child)
    outer_body = body("outer", index)
    outer = await put(repository, outer_body)
    await verifier.before(repository, manifests.parse(outer_body, ""), outer.digest, [])
    assert await pulled(verifier, repository, child.digest) is None
    await sign(repository, outer, "bundle")
    for one in (outer, index, child):
        assert await pulled(verifier, repository, one.digest) == one.digest
    assert await pulled(verifier, repository, "v1") == index.digest
    assert await pulled(verifier, repository, other.digest) is None
    _, witness = await verifier.find(repository, child.digest, may_push=False)
    assert witness and len(witness.beside) == 3
    await repository.delete(outer.digest)
    assert await pulled(verifier, repository, child.digest) is None


async def test_a_row_alone_frees_nothing(repository: Repository, verifier: Verifier) -> None:
    child, other = await put(repository, body("child")), await put(repository, body("other"))
    index = await index_of(repository, verifier, child)
    await sign(repository, index)
    await repository.parents.note(index.digest, [other.digest])
    await repository.parents.note(child.digest, [other.digest])
    assert await pulled(verifier, repository, child.digest) == child.digest
    assert await pulled(verifier, repository, other.digest) is None


async def test_an_index_from_before_is_noted_with_its_signature(
    repository: Repository, verifier: Verifier
) -> None:
    child = await put(repository, body("child"))
    index = await put(repository, body("index", child), "v1")
    await sign(repository, index)
    assert await pulled(verifier, repository, child.digest) is None
    signature = await repository.get(cosign.signature_tag(index.digest))
    signed = [index.digest, Digest.of(b"gone")]
    assert await verifier.after(repository, signature.digest, signed) is None
    assert await pulled(verifier, repository, child.digest) == child.digest


@pytest.mark.parametrize("has_image", [False, True])
async def test_an_index_of_attachments(repository: Repository, verifier: Verifier, has_image: bool) -> None:
    """As tools push it that know no referrers."""
    image = await put(repository, body("image"))
    made = bundle.sign(Descriptor(OCI_MANIFEST, Digest.of(b"elsewhere"), 3), FOREIGN)
    await attach(repository, made)
    listed = await repository.get(made.digest)
    children: Sequence[StoredManifest] = (listed, image) if has_image else (listed,)
    index = await put(repository, body("listing", *children), "sha256-0")
    assert await pulled(verifier, repository, "sha256-0") == (None if has_image else index.digest)


async def test_what_cannot_be_read_is_neither(
    repository: Repository, driver: Far, verifier: Verifier
) -> None:
    stored = await put(repository, body("one"), "v1")
    await sign(repository, stored, "bundle", FOREIGN)
    driver.fails = "_referrers"
    with pytest.raises(StoreUnavailable):
        await pulled(verifier, repository, "v1")
    found, witness = await verifier.find(repository, "v1", may_push=True)
    assert (found.digest, witness) == (stored.digest, None)
    assert await verifier.after(repository, stored.digest, []) is None
    driver.fails = "_tags"
    assert await answered(verifier, repository, "v1") == {}
    driver.fails = "_referrers"
    # One that can be read is enough.
    await sign(repository, stored)
    assert await pulled(verifier, repository, "v1") == stored.digest


async def test_what_is_known_is_looked_at_only(
    repository: Repository, driver: Far, verifier: Verifier
) -> None:
    stored = await put(repository, body("one"), "v1")
    await sign(repository, stored)
    await pulled(verifier, repository, "v1")
    driver.calls = 0
    await verifier.find(repository, "v1", may_push=False)
    assert driver.calls == 2, "the tag, and what signs"


async def test_far_away_what_is_not_signed_is_looked_for_once_a_second(
    repository: Repository, driver: Far
) -> None:
    now = [0.0]
    verifier = Verifier(lambda _: (KEY.public,), HOST, clock=lambda: now[0])
    driver.remote = True
    stored = await put(repository, body("one"), "v1")
    assert await pulled(verifier, repository, "v1") is None
    driver.calls = 0
    assert await pulled(verifier, repository, "v1") is None
    assert driver.calls == 1, "the tag"
    await sign(repository, stored)
    assert await pulled(verifier, repository, "v1") is None
    now[0] += 1
    assert await pulled(verifier, repository, "v1") == stored.digest
    # Of what comes here itself it knows at once.
    two = await put(repository, body("two"), "v2")
    assert await pulled(verifier, repository, "v2") is None
    await sign(repository, two)
    await verifier.after(repository, Digest.of(b"signature"), [two.digest])
    assert await pulled(verifier, repository, "v2") == two.digest


def test_bundles_are_called_as_cosign_calls_them() -> None:
    assert BUNDLE_TYPE == "application/vnd.dev.sigstore.bundle.v0.3+json"
