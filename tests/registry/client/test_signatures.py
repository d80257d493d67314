from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from registry.client import signatures
from registry.client.copying import Copier, Place
from registry.client.signatures import Copied
from registry.signing import cosign
from registry.signing.keys import SignatureInvalid, SigningKey, new_key
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.real.sidecargo import Sidecargo
from tests.registry.client import pushing
from tests.registry.consumers.shapes import B

NAMES = (f"signatures/{number}" for number in itertools.count())
SIGNED = Digest.parse(B.digest)
SUBJECT = Descriptor(OCI_MANIFEST, SIGNED, len(B.body))
TAG = cosign.signature_tag(SIGNED)


@pytest.fixture(name="keys", scope="module")
def _keys() -> list[SigningKey]:
    return [new_key() for _ in range(2)]


def valid(place: Place, key: SigningKey) -> int:
    """How many of the signatures under the tag this key made; every payload must be there."""
    fetched = place.remote.manifest(place.repository, TAG)
    found = 0
    for entry in json.loads(fetched.body)["layers"]:
        descriptor = Descriptor(entry["mediaType"], Digest.parse(entry["digest"]), entry["size"])
        payload = b"".join(place.remote.blob(place.repository, descriptor))
        try:
            cosign.verify(payload, entry["annotations"][cosign.SIGNATURE], key.public, SIGNED)
            found += 1
        except SignatureInvalid:
            pass
    return found


def test_nothing_is_copied_of_what_is_not_signed(distribution: str) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, B)
    assert signatures.copy(Copier(source, end), SIGNED) == Copied(0, 0)
    assert signatures.count(source, SIGNED) == 0


def test_both_kinds_are_copied_byte_for_byte(distribution: str, keys: list[SigningKey]) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, B)
    body = pushing.sign(source, SIGNED, keys[0])
    copier = Copier(source, end)
    for _ in range(2):
        assert signatures.copy(copier, SIGNED) == Copied(1, 0)
        assert end.remote.manifest(end.repository, TAG).body == body
    assert valid(end, keys[0]) == 1


def test_bundles_and_nothing_else_that_refers(
    distribution: str, serve: Callable[..., Sidecargo], keys: list[SigningKey]
) -> None:
    source, end = pushing.at(serve().host, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, B)
    bundle = pushing.attach(source, SUBJECT, b"bundle")
    pushing.attach(source, SUBJECT, b"sbom", "application/spdx+json")
    copied = signatures.copy(Copier(source, end), SIGNED)
    assert copied == Copied(copied.tagged, 3)  # and two of the server's own
    assert copied.count == signatures.count(source, SIGNED) == signatures.count(end, SIGNED)
    assert end.remote.manifest(end.repository, bundle.digest)


def test_what_the_destination_signed_stays(
    distribution: str, serve: Callable[..., Sidecargo], keys: list[SigningKey]
) -> None:
    """Ours signs what it takes: the source's signatures come beside its own."""
    server = serve()
    key = server.public_key(server.folder / "cosign.pub").read_bytes()
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(server.host, next(NAMES))
    for place in (source, end):
        pushing.push(place, B)
    pushing.sign(source, SIGNED, keys[0])
    own = json.loads(end.remote.manifest(end.repository, TAG).body)["layers"]
    for _ in range(2):
        assert signatures.copy(Copier(source, end), SIGNED).tagged == 1
        fetched = end.remote.manifest(end.repository, TAG)
        layers = json.loads(fetched.body)["layers"]
        assert layers[: len(own)] == own and len(layers) == len(own) + 1
        assert valid(end, keys[0]) == 1
    assert b"PUBLIC" in key
    # And the other way round: what is there already is not added again.
    assert signatures.copy(Copier(end, source), SIGNED).tagged == len(own) + 1
    assert len(json.loads(source.remote.manifest(source.repository, TAG).body)["layers"]) == len(own) + 1


def test_two_that_differ_are_brought_together(distribution: str, keys: list[SigningKey]) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    for place, key in zip((source, end), keys, strict=True):
        pushing.push(place, B)
        pushing.sign(place, SIGNED, key)
    signatures.copy(Copier(source, end), SIGNED)
    assert [valid(end, key) for key in keys] == [1, 1]
