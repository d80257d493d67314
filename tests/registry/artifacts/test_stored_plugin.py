from __future__ import annotations

import itertools

import pytest

from registry.artifacts import stored_plugin
from registry.artifacts.stored_plugin import StoredPlugin
from registry.client.reference import Reference
from registry.client.transport import RemoteError
from registry.console.failure import Failure, Refusal
from registry.publish.inspect import CONSUMERS
from registry.releases import NEWEST
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST
from tests.registry.cli.test_promote import NO_ABI
from tests.registry.client import pushing
from tests.registry.client.scripted import Said, scripted
from tests.registry.consumers.build import PLUGIN, Shape, index
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, B

NAMES = (f"stored/{number}" for number in itertools.count())
BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)


def find(reference: str) -> StoredPlugin:
    wanted = stored_plugin.reference(reference)
    return stored_plugin.find(wanted, pushing.at(wanted.host, "").remote, dict.fromkeys(CONSUMERS, (NEWEST,)))


@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
def test_what_loads(shape: Shape, distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, shape)
    expected = StoredPlugin(Digest.parse(shape.digest), Digest.parse(B.digest), Digest.of(PLUGIN))
    assert find(f"{place}:v1") == find(f"{place}@{shape.digest}") == expected


def test_what_does_not_load_says_every_problem(distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, NO_ABI)
    with pytest.raises(Refusal) as caught:
        find(f"{place}:v1")
    for line in caught.value.message.splitlines():
        assert line.startswith(f"{place}:v1 does not load: ")


def test_only_who_is_asked_for_counts(distribution: str) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, B)
    wanted = Reference(place.remote.host, place.repository, "v1")
    for consumer in ("istio", "envoy", "envoy-gateway"):
        found = stored_plugin.find(wanted, place.remote, {consumer: [NEWEST]})
        assert found.image == Digest.parse(B.digest)


def test_what_cannot_be_read() -> None:
    with scripted(lambda asked: Said(404)) as registry, pytest.raises(RemoteError, match="404"):
        find(f"{registry.host}/a:v1")
    said = Said(body=b"{}", headers={"Content-Type": OCI_MANIFEST})
    with scripted(lambda asked: said) as registry, pytest.raises(Failure, match="schemaVersion is not 2"):
        find(f"{registry.host}/a:v1")


@pytest.mark.parametrize(
    "text", ["acme/a:v1", "localhost:1/a", "localhost:1/A:v1", "localhost:1/a@sha256:0", ""]
)
def test_no_references(text: str) -> None:
    for read in (stored_plugin.reference, stored_plugin.destination):
        with pytest.raises(Failure):
            read(text)


def test_a_destination_is_a_tag() -> None:
    assert str(stored_plugin.destination("localhost:1/a:v1")) == "localhost:1/a:v1"
    with pytest.raises(Failure, match="names a digest"):
        stored_plugin.destination(f"localhost:1/a@sha256:{'0' * 64}")
