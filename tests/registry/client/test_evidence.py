from __future__ import annotations

import itertools

import pytest

from registry.client import evidence
from registry.client.copying import Place
from registry.client.evidence import Evidence
from registry.client.remote import Remote
from registry.client.transport import RemoteError
from registry.signing import cosign
from registry.signing.keys import new_key
from registry.signing.verification import LARGEST_PAYLOAD, Candidate, check
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.registry.client import pushing
from tests.registry.client.scripted import Asked, Said, scripted
from tests.registry.consumers.shapes import B

NAMES = (f"evidence/{number}" for number in itertools.count())
SIGNED = Digest.parse(B.digest)
TAG = cosign.signature_tag(SIGNED)
KEY = new_key()


def test_nothing(distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, B)
    assert evidence.find(place, SIGNED) == Evidence(None, ())


def test_under_the_tag(distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    body = pushing.sign(place, SIGNED, KEY)
    found = evidence.find(place, SIGNED)
    assert found.tagged == Digest.of(body)
    (candidate,) = found.candidates
    assert (candidate.form, candidate.at, candidate.absent) == ("tag", Digest.of(body), "")
    assert check(candidate, (KEY.public,), SIGNED).ok


def test_a_payload_that_is_too_large_is_not_fetched(distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    data = b" " * (LARGEST_PAYLOAD + 1)
    layer = Descriptor(cosign.PAYLOAD_TYPE, pushing.blob(place, data), len(data))
    config = Descriptor(cosign.CONFIG_TYPE, pushing.blob(place, b"{}"), 2)
    body = pushing.manifest(config, layer)
    place.remote.put_manifest(place.repository, TAG, body, OCI_MANIFEST)
    (candidate,) = evidence.find(place, SIGNED).candidates
    assert (candidate.data, str(len(data)) in candidate.absent) == (b"", True)


def test_what_is_named_and_not_here_is_said() -> None:
    """No real registry names content that it has not."""
    made = cosign.signature_manifest(cosign.sign("a/b", SIGNED, KEY))
    assert made

    def script(asked: Asked) -> Said:
        if asked.path.endswith(TAG):
            return Said(body=made.manifest, headers={"Content-Type": OCI_MANIFEST})
        return Said(404)

    with scripted(script) as running, Remote(running.host, find=lambda _: None) as remote:
        found = evidence.find(Place(remote, "a/b"), SIGNED)
    (candidate,) = found.candidates
    assert candidate.absent == "what it signs is not here."
    assert not check(candidate, (KEY.public,), SIGNED).ok


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_registry_that_does_not_tell(status: int) -> None:
    """That is no answer: it could be signed."""
    with (
        scripted(lambda _: Said(status)) as running,
        Remote(running.host, find=lambda _: None) as remote,
        pytest.raises(RemoteError),
    ):
        evidence.find(Place(remote, "a/b"), SIGNED)


def test_bundles_by_their_type() -> None:
    body = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [%s]}'
    row = (
        b'{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": "%s",'
        b' "artifactType": "%s"}'
    )
    digests = [str(Digest.of(said)).encode() for said in (b"a", b"b")]
    kinds = (b"application/vnd.dev.sigstore.bundle.v0.3+json", b"application/spdx+json")
    rows = b",".join(row % pair for pair in zip(digests, kinds, strict=True))

    def script(asked: Asked) -> Said:
        if "/referrers/" in asked.path:
            return Said(body=body % rows, headers={"Content-Type": "application/vnd.oci.image.index.v1+json"})
        return Said(404)

    with scripted(script) as running, Remote(running.host, find=lambda _: None) as remote:
        found = evidence.find(Place(remote, "a/b"), SIGNED)
    assert found.candidates == (Candidate("bundle", Digest.of(b"a"), absent="its manifest is not here."),)
