import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from registry.publish import ours
from registry.publish.signatures import Signer
from registry.signing import bundle, cosign
from registry.signing.admission import ADMITTED, Admission
from registry.signing.keys import SignatureInvalid, load_public, new_key
from registry.signing.ring import KeyRing
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, parse
from storage.repositories import Repository, StoredManifest
from storage.store import Store
from tests.registry.consumers.build import OCI_CONFIG, Shape, descriptor, image, index, sha256
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, A, B
from tests.registry.talk import Registry
from tests.storage.content import put_blob

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
KEY, OTHER_KEY = new_key(), new_key()
DIGEST = Digest.of(b"a manifest")
SIGNED = Descriptor(OCI_MANIFEST, DIGEST, len(b"a manifest"))
RING = KeyRing.of(KEY)
SAID = Admission(
    by="alice",
    at="2026-11-29T20:00:00Z",
    mode="enforce",
    consumers=("istio", "envoy"),
    envoys=("1.40",),
    rules=5,
    findings=Digest.of(b"findings"),
    module=Digest.of(b"module"),
)
TAG = cosign.signature_tag(DIGEST)


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    store = Store(DiskDriver(tmp_path), upload_limit=1 << 30)
    await store.open()
    return store.repository("team/wasm")


async def layers(repository: Repository) -> list[Descriptor]:
    stored = await repository.get(TAG)
    return list(parse(stored.body, stored.descriptor.media_type).layers)


async def sign(repository: Repository, signer: Signer, *said: Admission | bytes) -> Descriptor | None:
    begun = await signer.begin(repository, SIGNED, *said)
    stored = await signer.store(repository, begun)
    await signer.publish(repository, begun, stored)
    return stored.descriptor if stored else None


async def test_what_is_stored_verifies(repository: Repository) -> None:
    assert await sign(repository, Signer(RING, "here:5000"))
    (layer,) = await layers(repository)
    blob = await repository.blobs.open(layer.digest)
    payload = b"".join([piece async for piece in repository.blobs.read(blob)])
    cosign.verify(payload, layer.annotations[cosign.SIGNATURE], KEY.public, DIGEST)
    critical = json.loads(payload)["critical"]
    assert critical["identity"]["docker-reference"] == "here:5000/team/wasm"
    stored = await repository.get(TAG)
    assert not await repository.missing(parse(stored.body, OCI_MANIFEST))


async def test_twice_adds_nothing(repository: Repository) -> None:
    first = await sign(repository, Signer(RING, "here:5000"))
    assert first is not None
    assert await sign(repository, Signer(RING, "here:5000")) is None
    assert (await repository.get(TAG)).descriptor == first


async def test_others_signatures_stay_and_come_first(repository: Repository) -> None:
    await sign(repository, Signer(KeyRing.of(OTHER_KEY), "there:5000"))
    (theirs,) = await layers(repository)
    await sign(repository, Signer(RING, "here:5000"))
    first, second = await layers(repository)
    assert (first, second.digest != theirs.digest) == (theirs, True)
    assert await sign(repository, Signer(RING, "here:5000")) is None


async def test_an_index_under_that_tag_is_none(repository: Repository) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    await repository.tag(TAG, await repository.put(parse(body, OCI_INDEX), body, Digest.of(body)))
    await sign(repository, Signer(RING, "here:5000"))
    assert len(await layers(repository)) == 1


def signatures(registry: Registry, shape: Shape) -> list[dict[str, object]]:
    """The layers under cosign's tag, each held against the registry's key where it is ours."""
    answer = registry.get(f"{registry.base}/manifests/{shape.digest.replace(':', '-')}.sig")
    assert (answer.status, answer["content-type"]) == (200, OCI_MANIFEST), answer
    found: list[dict[str, object]] = answer.json["layers"]
    return found


def holds(registry: Registry, layer: dict[str, object], shape: Shape) -> bool:
    payload = registry.get(f"{registry.base}/blobs/{layer['digest']}").body
    annotations = layer["annotations"]
    assert isinstance(annotations, dict)
    key = load_public(registry.get("/keys/cosign.pub").body)
    try:
        cosign.verify(payload, annotations[cosign.SIGNATURE], key, Digest.parse(shape.digest))
    except SignatureInvalid:
        return False
    return True


@pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_images_and_indexes_that_load_are_signed(registry: Registry, shape: Shape, by: str) -> None:
    for _ in range(3):
        assert registry.push(shape, "v1" if by == "tag" else shape.digest).status == 201
    (layer,) = signatures(registry, shape)
    assert layer["mediaType"] == cosign.PAYLOAD_TYPE
    assert holds(registry, layer, shape)
    if shape.children:
        (layer,) = signatures(registry, B)
        assert holds(registry, layer, B)


def test_attachments_are_not_signed(registry: Registry) -> None:
    registry.push(BUILDX)
    registry.push(ATTESTATION, "attested")
    tags = registry.get(f"{registry.base}/tags/list").json["tags"]
    signed = sorted(f"{shape.digest.replace(':', '-')}.sig" for shape in (B, BUILDX))
    assert tags == sorted([*signed, "attested", "v1"])


def test_a_user_s_signature_stays(registry: Registry) -> None:
    payload = b'{"critical": "theirs"}'
    registry.blob(payload)
    signature = {cosign.SIGNATURE: base64.b64encode(b"theirs").decode()}
    theirs = image("theirs", [(cosign.PAYLOAD_TYPE, payload)], None, config=(OCI_CONFIG, b"{}"))
    document = {
        **theirs.manifest,
        "layers": [descriptor(cosign.PAYLOAD_TYPE, payload, annotations=signature)],
    }
    registry.content(theirs)
    tag = f"{B.digest.replace(':', '-')}.sig"
    assert registry.put(tag, json.dumps(document).encode()).status == 201
    registry.push(B)
    first, second = signatures(registry, B)
    assert (first["digest"], first["annotations"]) == (sha256(payload), signature)
    assert holds(registry, second, B) and not holds(registry, first, B)


async def test_a_plugin_under_the_tag_of_a_signature_is_not_taken_along(repository: Repository) -> None:
    """Together with our layer it would be an image that nobody has judged."""
    for data in B.blobs.values():
        await put_blob(repository, data)
    manifest = parse(B.body, B.media_type)
    stored = await repository.put(manifest, B.body, Digest.of(B.body))
    await repository.tag(TAG, stored)
    assert await sign(repository, Signer(RING, "here:5000"))
    assert {layer.media_type for layer in await layers(repository)} == {cosign.PAYLOAD_TYPE}


async def test_bundles_refer_to_what_is_signed(repository: Repository) -> None:
    await sign(repository, Signer(RING, "here:5000"), SAID)
    found = {one.statement.kind: one for one in await ours.bundles(repository, DIGEST, RING)}
    assert set(found) == {bundle.SIGNED, ADMITTED}
    assert found[bundle.SIGNED].stored.body == bundle.sign(SIGNED, KEY).manifest
    assert found[ADMITTED].payload == SAID.statement("here:5000/team/wasm", DIGEST)
    for one in found.values():
        assert not await repository.missing(parse(one.stored.body, OCI_MANIFEST))


async def test_a_bundle_a_key_and_a_policy(repository: Repository) -> None:
    async def count() -> int:
        return len(await ours.bundles(repository, DIGEST, KeyRing.of(KEY, OTHER_KEY.public)))

    signer, later = Signer(RING, "here:5000"), replace(SAID, by="bob", at="2026-11-30T20:00:00Z")
    await sign(repository, signer, SAID)
    await sign(repository, signer, later)
    assert await count() == 2
    await sign(repository, signer, replace(later, envoys=("1.36",)))
    assert await count() == 3
    await sign(repository, Signer(KeyRing.of(OTHER_KEY), "here:5000"), SAID)
    assert await count() == 5


async def test_a_statement_may_be_signed_again_with_another_key(repository: Repository) -> None:
    statement = SAID.statement("elsewhere/team/wasm", DIGEST)
    signer = Signer(RING, "here:5000")
    for _ in range(2):
        await sign(repository, signer, statement)
    found = [one for one in await ours.bundles(repository, DIGEST, RING) if one.statement.kind == ADMITTED]
    assert [one.payload for one in found] == [statement]


async def test_without_bundles(repository: Repository) -> None:
    await sign(repository, Signer(RING, "here:5000", bundles=False), SAID)
    assert len(await layers(repository)) == 1
    assert await ours.bundles(repository, DIGEST, RING) == []


async def test_where_the_tag_was_deleted_nothing_comes_twice(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    await sign(repository, signer)
    await repository.tags.delete(TAG)
    await sign(repository, signer)
    assert len(await layers(repository)) == len(await ours.bundles(repository, DIGEST, RING)) == 1


async def theirs(repository: Repository, payload: bytes = b"{}") -> StoredManifest:
    """Push a manifest of signatures by another tool, and nothing else."""
    signature = {cosign.SIGNATURE: base64.b64encode(payload).decode()}
    layer = descriptor(cosign.PAYLOAD_TYPE, payload, annotations=signature)
    shape = image("theirs", [(cosign.PAYLOAD_TYPE, payload)], None, config=(OCI_CONFIG, b"{}"))
    body = json.dumps({**shape.manifest, "layers": [layer]}).encode()
    for data in shape.blobs.values():
        await put_blob(repository, data)
    return await repository.put(parse(body, OCI_MANIFEST), body, Digest.of(body))


async def test_what_a_tool_pushes_to_the_tag_is_named_together_with_ours(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    await sign(repository, signer)
    (mine,) = await layers(repository)
    pushed = await theirs(repository)
    for _ in range(2):
        await signer.merge(repository, DIGEST, pushed, await repository.tags.held(TAG))
        first, second = await layers(repository)
        assert (first.digest, second) == (Digest.of(b"{}"), mine)
    assert (await repository.get(pushed.digest)).body == pushed.body
    merged = await repository.get(TAG)
    assert not await repository.missing(parse(merged.body, OCI_MANIFEST))
    # Another one pushes: what is ours stays, what is others' is as the last one of them has it.
    await signer.merge(repository, DIGEST, await theirs(repository, b"{ }"), await repository.tags.held(TAG))
    assert [layer.digest for layer in await layers(repository)] == [Digest.of(b"{ }"), mine.digest]


async def test_nothing_of_ours_is_put_to_what_is_no_manifest_of_signatures(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    pushed = await theirs(repository)
    await signer.merge(repository, DIGEST, pushed, None)
    assert (await repository.get(TAG)).digest == pushed.digest
    await sign(repository, signer)
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    other = await repository.put(parse(body, OCI_INDEX), body, Digest.of(body))
    await signer.merge(repository, DIGEST, other, await repository.tags.held(TAG))
    assert (await repository.get(TAG)).digest == other.digest


async def test_where_others_signed_under_the_tag_ours_is_there_only(repository: Repository) -> None:
    """Cosign would look at our bundles instead, and not find theirs."""
    signer = Signer(RING, "here:5000")
    await sign(repository, signer, SAID)
    await signer.merge(repository, DIGEST, await theirs(repository), await repository.tags.held(TAG))
    assert await ours.bundles(repository, DIGEST, RING) == []
    await sign(repository, signer, SAID)
    assert await ours.bundles(repository, DIGEST, RING) == []
    assert len(await layers(repository)) == 2


async def test_where_others_have_a_bundle_ours_has_one_too(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    body = b'{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"%s","size":2},"layers":[]}' % (
        sha256(b"{}").encode()
    )
    signed = Descriptor(OCI_MANIFEST, Digest.of(body), len(body))
    await repository.put(parse(body, OCI_MANIFEST), body, signed.digest)
    await Signer(KeyRing.of(OTHER_KEY), "there", bundles=False).sign(repository, signed)
    await signer.sign(repository, signed)
    assert await ours.bundles(repository, signed.digest, RING) == []
    made = bundle.sign(signed, OTHER_KEY)
    for data in (made.bundle, bundle.EMPTY):
        await put_blob(repository, data)
    await repository.put(parse(made.manifest, OCI_MANIFEST), made.manifest, made.digest)
    await signer.accompany(repository, signed.digest)
    (mine,) = await ours.bundles(repository, signed.digest, RING)
    assert mine.statement.kind == bundle.SIGNED


async def test_what_is_not_ours_needs_no_company(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    await signer.accompany(repository, DIGEST)
    assert await repository.tags.held(TAG) is None
    await sign(repository, Signer(RING, "here:5000", bundles=False))
    await signer.accompany(repository, DIGEST)  # the manifest itself is not here
    assert await ours.bundles(repository, DIGEST, RING) == []


async def test_a_merge_meets_another_one(repository: Repository) -> None:
    signer = Signer(RING, "here:5000")
    pushed = await theirs(repository)
    await sign(repository, signer)
    # What was seen of the tag is not what it is any more.
    await signer.merge(repository, DIGEST, pushed, b"other")
    assert len(await layers(repository)) == 2


def test_a_push_over_ours_is_answered_with_its_own_digest(registry: Registry) -> None:
    registry.push(B)
    (mine,) = signatures(registry, B)
    theirs = image("theirs over ours", [(cosign.PAYLOAD_TYPE, b"{}")], None, config=(OCI_CONFIG, b"{}"))
    registry.content(theirs)
    answer = registry.put(f"{B.digest.replace(':', '-')}.sig", theirs.body)
    assert (answer.status, answer["docker-content-digest"]) == (201, theirs.digest)
    assert registry.get(f"{registry.base}/manifests/{theirs.digest}").body == theirs.body
    first, second = signatures(registry, B)
    assert (first["digest"], second) == (sha256(b"{}"), mine)
