from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from registry.client.copying import Copier, Place, read
from registry.client.remote import Fetched
from registry.client.transport import RemoteError
from registry.console.failure import Failure, Refusal
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.real.sidecargo import Sidecargo
from tests.registry.client import pushing
from tests.registry.client.scripted import Asked, Said, scripted

NAMES = (f"copying/{number}" for number in itertools.count())
CONTENT = bytes(range(256)) * 20_000
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))


@pytest.mark.parametrize("to", ["the same registry", "another"])
def test_blobs_and_manifests_stay_as_they_are(
    to: str, distribution: str, serve: Callable[..., Sidecargo]
) -> None:
    source = pushing.at(distribution, next(NAMES))
    pushing.blob(source, CONTENT)
    body = b" " + pushing.manifest(BLOB, BLOB)
    source.remote.put_manifest(source.repository, "v1", body, OCI_MANIFEST)
    fetched = source.remote.manifest(source.repository, "v1")
    host = distribution if to == "the same registry" else serve(settings=None).host
    end = pushing.at(host, next(NAMES))
    copier, told = Copier(source, end), list[int]()
    for _ in range(2):
        told.clear()
        copier.blobs(read(fetched, "x").blobs(), told.append)
        assert sum(told) == len(CONTENT), "once, though it is config and layer"
    assert b"".join(end.remote.blob(end.repository, BLOB)) == CONTENT
    if to == "the same registry":
        assert copier.manifest(fetched, "v2").digest == fetched.digest
        assert end.remote.manifest(end.repository, "v2").body == body


def _copier(host: str, source: str = "a", destination: str = "b") -> Copier:
    return Copier(pushing.at(host, source), pushing.at(host, destination))


def test_within_a_registry_no_byte_travels() -> None:
    def script(asked: Asked) -> Said:
        return Said(201 if asked.method == "POST" else 404)

    with scripted(script) as registry:
        told: list[int] = []
        _copier(registry.host).blobs([BLOB], told.append)
    assert told == [len(CONTENT)]
    assert [one.method for one in registry.asked if one.path != "/v2/"] == ["HEAD", "POST"]
    assert registry.asked[-1].path == f"/v2/b/blobs/uploads/?mount=sha256%3A{BLOB.digest.hex}&from=a"


def test_what_cannot_be_mounted_is_sent() -> None:
    def script(asked: Asked) -> Said:
        if asked.method == "POST":
            return Said(202, headers={"Location": "/v2/b/blobs/uploads/1"})
        if asked.method == "GET":
            return Said(body=CONTENT)
        return Said({"HEAD": 404, "PUT": 201, "DELETE": 204}[asked.method])

    with scripted(script) as registry:
        _copier(registry.host).blobs([BLOB], lambda _: None)
    (put,) = [one for one in registry.asked if one.method == "PUT"]
    assert put.body == CONTENT


@pytest.mark.parametrize("harm", ["source", "destination", "bytes"])
def test_what_goes_wrong(harm: str) -> None:
    """What cannot be read is an error of usage, what is not taken a refusal; damage is never passed on."""

    def script(asked: Asked) -> Said:
        if "/v2/a/" in asked.path:
            return Said(404) if harm == "source" else Said(body=CONTENT[:-1] + b"!")
        if asked.method == "PUT":
            return Said(403 if harm == "destination" else 201)
        return Said(404 if asked.method == "HEAD" else 202, headers={"Location": "/v2/b/blobs/uploads/1"})

    def good(asked: Asked) -> Said:
        return Said(body=CONTENT)

    with scripted(script) as registry, scripted(good) as other:
        source = other.host if harm == "destination" else registry.host
        copier = Copier(pushing.at(source, "a"), pushing.at(registry.host, "b"))
        kind = Refusal if harm == "destination" else RemoteError
        with pytest.raises(kind):
            copier.blobs([BLOB], lambda _: None)
        assert [one for one in registry.asked if one.method == "PUT"] == [] or harm == "destination"


def test_a_manifest_that_is_none_is_said() -> None:
    with pytest.raises(Failure, match=r"a/b@sha256:.*: the manifest is not JSON"):
        read(Fetched(b"{", OCI_MANIFEST, Digest.of(b"{")), "a/b")


def test_a_place_is_shown_as_it_is_typed() -> None:
    place: Any = pushing.at("127.0.0.1:1", "a/b")
    assert isinstance(place, Place) and str(place) == "127.0.0.1:1/a/b"
