from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from registry.client import referrers
from registry.client.copying import Copier, Place
from registry.client.transport import RemoteError
from registry.console.failure import Failure, Refusal
from storage.digest import Digest
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from tests.real.sidecargo import Sidecargo
from tests.registry.client import pushing
from tests.registry.client.scripted import Asked, Said, scripted
from tests.registry.consumers.shapes import B

NAMES = (f"referrers/{number}" for number in itertools.count())
SUBJECT = Descriptor(OCI_MANIFEST, Digest.parse(B.digest), len(B.body))


def tagged(place: Place) -> list[str]:
    """The digests in the index that stands for the referrers API."""
    fetched = place.remote.manifest(place.repository, f"sha256-{SUBJECT.digest.hex}")
    return [entry["digest"] for entry in json.loads(fetched.body)["manifests"]]


def test_with_the_api(serve: Callable[..., Sidecargo]) -> None:
    host = serve().host
    source, end = pushing.at(host, next(NAMES)), pushing.at(host, next(NAMES))
    assert referrers.find(source, SUBJECT.digest) == ()
    one = pushing.attach(source, SUBJECT, b"one")
    other = pushing.attach(source, SUBJECT, b"other", "application/spdx+json")
    found = referrers.find(source, SUBJECT.digest)
    assert {entry.digest: entry.artifact_type for entry in found} == {
        entry.digest: entry.artifact_type for entry in (one, other)
    }
    for _ in range(2):
        referrers.copy(Copier(source, end), SUBJECT.digest, one)
    assert [entry.digest for entry in referrers.find(end, SUBJECT.digest)] == [one.digest]
    with pytest.raises(RemoteError, match="404"):
        tagged(end)


def test_without_the_api_an_index_stands_for_it(distribution: str, serve: Callable[..., Sidecargo]) -> None:
    source, end = pushing.at(serve().host, next(NAMES)), pushing.at(distribution, next(NAMES))
    entries = [pushing.attach(source, SUBJECT, content) for content in (b"one", b"two")]
    copier = Copier(source, end)
    assert referrers.find(end, SUBJECT.digest) == ()
    referrers.copy(copier, SUBJECT.digest, entries[0])
    assert tagged(end) == [str(entries[0].digest)]
    # Whatever others wrote of an entry stays.
    kept = {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(b"x")), "size": 1, "platform": {"os": "x"}}
    kept |= {"platform": {"os": "x", "architecture": "y"}, "com.example": [1]}
    pushing.blob(end, b"x")
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entries[0].to_json()]})
    end.remote.put_manifest(end.repository, f"sha256-{SUBJECT.digest.hex}", body.encode(), OCI_INDEX)
    for _ in range(2):
        referrers.copy(copier, SUBJECT.digest, entries[1])
    assert tagged(end) == [str(entry.digest) for entry in entries]
    found = referrers.find(end, SUBJECT.digest)
    assert [(entry.digest, entry.artifact_type) for entry in found] == [
        (entry.digest, pushing.BUNDLE) for entry in entries
    ]


def _index(*digests: Digest) -> bytes:
    entries = [{"mediaType": OCI_MANIFEST, "digest": str(digest), "size": 1} for digest in digests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def test_pages() -> None:
    digests = [Digest.of(str(number).encode()) for number in range(3)]

    def script(asked: Asked) -> Said:
        page = int(parse_qs(urlsplit(asked.path).query).get("page", ["0"])[0])
        headers = {"Link": f'<{urlsplit(asked.path).path}?page={page + 1}>; rel="next"'} if page < 2 else {}
        return Said(body=_index(digests[page]), headers=headers)

    with scripted(script) as registry:
        found = referrers.find(pushing.at(registry.host, "a"), SUBJECT.digest)
    assert [entry.digest for entry in found] == digests


def test_pages_without_an_end() -> None:
    def script(asked: Asked) -> Said:
        return Said(body=_index(), headers={"Link": '<?page=1>; rel="next"'})

    with scripted(script) as registry, pytest.raises(RemoteError, match="more than 100 pages"):
        referrers.find(pushing.at(registry.host, "a"), SUBJECT.digest)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_taken_for_nothing(status: int) -> None:
    with scripted(lambda asked: Said(status)) as registry, pytest.raises(RemoteError, match=str(status)):
        referrers.find(pushing.at(registry.host, "a"), SUBJECT.digest)


def test_an_answer_that_is_no_index() -> None:
    with scripted(lambda asked: Said(body=b"{}")) as registry, pytest.raises(Failure, match="schemaVersion"):
        referrers.find(pushing.at(registry.host, "a"), SUBJECT.digest)


def test_a_tag_that_names_something_else_is_not_overwritten(
    distribution: str, serve: Callable[..., Sidecargo]
) -> None:
    source, end = pushing.at(serve().host, next(NAMES)), pushing.at(distribution, next(NAMES))
    entry = pushing.attach(source, SUBJECT, b"one")
    pushing.push(end, B, f"sha256-{SUBJECT.digest.hex}")
    with pytest.raises(Refusal, match="names no index"):
        referrers.copy(Copier(source, end), SUBJECT.digest, entry)
