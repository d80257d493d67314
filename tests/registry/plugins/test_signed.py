from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from registry.plugins.signed import MOST, look
from registry.publish.signatures import Signer
from registry.signing import cosign
from registry.signing.admission import Admission
from registry.signing.keys import new_key
from registry.signing.ring import KeyRing
from storage import manifest as manifests
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.repositories import Repository, StoredManifest
from storage.store import Store
from tests.storage.content import put_blob

KEY, FOREIGN = new_key(), new_key()
RING = KeyRing.of(KEY)
BODY = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor("application/x", Digest.of(b"{}"), 2).to_json(),
        "layers": [],
    }
).encode()
DIGEST = Digest.of(BODY)
SAID = Admission("bob", "2026-11-29T20:00:00Z", "warn", ("istio",), ("1.40",), 5, Digest.of(b"findings"))
TAG = cosign.signature_tag(DIGEST)


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    repository = Store(DiskDriver(tmp_path), upload_limit=1 << 20).repository("team/a")
    await put(repository, BODY)
    return repository


async def put(repository: Repository, body: bytes) -> StoredManifest:
    return await repository.put(manifests.parse(body, ""), body, Digest.of(body))


async def sign(
    repository: Repository, key: Any = KEY, digest: Digest = DIGEST, *, bundles: bool = False
) -> None:
    signed = Descriptor(OCI_MANIFEST, digest, len(BODY))
    await Signer(KeyRing.of(key), "localhost:5000", bundles=bundles).sign(repository, signed, SAID)


async def replaced(repository: Repository, **changes: Any) -> None:
    """Change the one layer of the manifest of signatures."""
    document = json.loads((await repository.get(TAG)).body)
    document["layers"][0] |= changes
    await repository.tag(TAG, await put(repository, json.dumps(document).encode()))


async def test_nothing_is_signed(repository: Repository) -> None:
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.others, found.referrers) == (False, 0, ())
    assert found.to_json("why.") == {
        "signed": False,
        "key": None,
        "tag": None,
        "others": 0,
        "bundled": False,
        "admission": None,
        "why_not": "why.",
        "referrers": [],
    }


async def test_signed_by_us(repository: Repository) -> None:
    await sign(repository)
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.others, found.key, found.tag) == (True, 0, KEY.key_id, TAG)
    said = found.to_json("why.")
    assert (said["signed"], said["key"], said["why_not"]) == (True, KEY.key_id, None)


async def test_signed_by_others_too(repository: Repository) -> None:
    await sign(repository, FOREIGN)
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.others) == (False, 1)
    assert found.to_json("")["tag"] == TAG
    await sign(repository)
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.others) == (True, 1)


async def test_a_signature_of_another_manifest_counts_for_nothing(repository: Repository) -> None:
    other = BODY + b"\n"
    await put(repository, other)
    await sign(repository, digest=Digest.of(other))
    stored = await repository.get(cosign.signature_tag(Digest.of(other)))
    await repository.tag(TAG, stored)
    assert not (await look(repository, DIGEST, RING)).ours


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"annotations": {}}, id="no signature"),
        pytest.param({"annotations": {cosign.SIGNATURE: "?"}}, id="not base64"),
        pytest.param({"annotations": {cosign.SIGNATURE: base64.b64encode(b"x").decode()}}, id="another one"),
        pytest.param({"mediaType": "text/plain"}, id="another type"),
        pytest.param({"digest": str(Digest.of(b"nowhere"))}, id="no payload"),
    ],
)
async def test_what_does_not_hold_is_not_ours(repository: Repository, changes: dict[str, Any]) -> None:
    await sign(repository)
    await replaced(repository, **changes)
    assert not (await look(repository, DIGEST, RING)).ours


async def test_a_huge_payload_is_not_read(repository: Repository) -> None:
    """Even where the key has signed it: white space after JSON is JSON."""
    huge = cosign.payload("localhost:5000/team/a", DIGEST) + b" " * (64 << 10)
    await sign(repository)
    for payload, ours in ((huge, False), (huge.strip() + b" ", True)):
        await put_blob(repository, payload)
        signature = {cosign.SIGNATURE: base64.b64encode(KEY.sign(payload)).decode()}
        digest = str(Digest.of(payload))
        await replaced(repository, digest=digest, size=len(payload), annotations=signature)
        assert (await look(repository, DIGEST, RING)).ours is ours


async def test_a_tag_that_names_no_signatures(repository: Repository) -> None:
    await repository.tag(TAG, await repository.get(DIGEST))
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.others) == (False, 0)


async def test_what_refers_to_it_is_listed_up_to_a_limit(repository: Repository) -> None:
    subject = Descriptor(OCI_MANIFEST, DIGEST, len(BODY)).to_json()
    for at in range(MOST + 5):
        document = json.loads(BODY) | {"subject": subject, "artifactType": f"application/x.{at}"}
        await put(repository, json.dumps(document).encode())
    found = (await look(repository, DIGEST, RING)).to_json("")["referrers"]
    assert len(found) == MOST
    assert all(row["type"].startswith("application/x.") for row in found)


async def test_bundles_of_ours_count_too(repository: Repository) -> None:
    await sign(repository, bundles=True)
    found = await look(repository, DIGEST, RING)
    assert (found.ours, found.bundled, found.admission) == (True, True, SAID.predicate())
    await repository.tags.delete(TAG)
    found = await look(repository, DIGEST, RING)
    assert (found.key, found.tag, found.bundled) == (KEY.key_id, None, True)
    assert not (await look(repository, DIGEST, KeyRing.of(FOREIGN))).ours


async def test_the_key_of_now_is_named_before_older_ones(repository: Repository) -> None:
    await sign(repository, FOREIGN)
    ring = KeyRing.of(KEY, FOREIGN.public)
    assert (await look(repository, DIGEST, ring)).key == FOREIGN.key_id
    await sign(repository)
    assert (await look(repository, DIGEST, ring)).key == KEY.key_id
