import base64
import json
from pathlib import Path

import pytest

from registry.publish.signatures import Signer
from registry.signing import cosign
from registry.signing.keys import new_key
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, parse
from storage.repositories import Repository
from storage.store import Store
from tests.registry.consumers.build import OCI_CONFIG, Shape, descriptor, image, index, sha256
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, A, B
from tests.registry.talk import Registry
from tests.storage.content import put_blob

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
KEY, OTHER_KEY = new_key(), new_key()
DIGEST = Digest.of(b"a manifest")
TAG = cosign.signature_tag(DIGEST)


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    store = Store(DiskDriver(tmp_path), upload_limit=1 << 30)
    await store.open()
    return store.repository("team/wasm")


async def layers(repository: Repository) -> list[Descriptor]:
    stored = await repository.get(TAG)
    return list(parse(stored.body, stored.descriptor.media_type).layers)


async def sign(repository: Repository, signer: Signer) -> Descriptor | None:
    begun = await signer.begin(repository, DIGEST)
    stored = await signer.store(repository, begun)
    await signer.publish(repository, begun, stored)
    return stored.descriptor if stored else None


async def test_what_is_stored_verifies(repository: Repository) -> None:
    assert await sign(repository, Signer(KEY, "here:5000"))
    (layer,) = await layers(repository)
    blob = await repository.blobs.open(layer.digest)
    payload = b"".join([piece async for piece in repository.blobs.read(blob)])
    cosign.verify(payload, layer.annotations[cosign.SIGNATURE], KEY.public_pem, DIGEST)
    critical = json.loads(payload)["critical"]
    assert critical["identity"]["docker-reference"] == "here:5000/team/wasm"
    stored = await repository.get(TAG)
    assert not await repository.missing(parse(stored.body, OCI_MANIFEST))


async def test_twice_adds_nothing(repository: Repository) -> None:
    first = await sign(repository, Signer(KEY, "here:5000"))
    assert first is not None
    assert await sign(repository, Signer(KEY, "here:5000")) is None
    assert (await repository.get(TAG)).descriptor == first


async def test_others_signatures_stay_and_come_first(repository: Repository) -> None:
    await sign(repository, Signer(OTHER_KEY, "there:5000"))
    (theirs,) = await layers(repository)
    await sign(repository, Signer(KEY, "here:5000"))
    first, second = await layers(repository)
    assert (first, second.digest != theirs.digest) == (theirs, True)
    assert await sign(repository, Signer(KEY, "here:5000")) is None


async def test_an_index_under_that_tag_is_none(repository: Repository) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    await repository.tag(TAG, await repository.put(parse(body, OCI_INDEX), body, Digest.of(body)))
    await sign(repository, Signer(KEY, "here:5000"))
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
    key = registry.get("/keys/cosign.pub").body
    try:
        cosign.verify(payload, annotations[cosign.SIGNATURE], key, Digest.parse(shape.digest))
    except cosign.SignatureInvalid:
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
    assert await sign(repository, Signer(KEY, "here:5000"))
    assert {layer.media_type for layer in await layers(repository)} == {cosign.PAYLOAD_TYPE}
