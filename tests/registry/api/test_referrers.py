import json
from typing import Any

import pytest

from storage.manifest import OCI_INDEX, OCI_MANIFEST
from tests.registry.consumers.build import IN_TOTO, descriptor, sha256
from tests.registry.consumers.shapes import B
from tests.registry.talk import MISSING, Registry

SUBJECT = b'{"subject": "not here yet"}'
EMPTY = "application/vnd.oci.empty.v1+json"


def attach(registry: Registry, kind: str, subject: bytes = SUBJECT, **more: Any) -> bytes:
    """Push an attachment to `subject`; its manifest."""
    for data in (b"{}", kind.encode()):
        registry.blob(data)
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY, b"{}"),
            "layers": [descriptor(IN_TOTO, kind.encode())],
            "subject": descriptor(OCI_MANIFEST, subject),
            **more,
        }
    ).encode()
    answer = registry.put(sha256(body), body)
    assert (answer.status, answer["oci-subject"]) == (201, sha256(subject)), answer
    return body


def rows(registry: Registry, query: str = "", subject: bytes = SUBJECT) -> list[dict[str, Any]]:
    answer = registry.get(f"{registry.base}/referrers/{sha256(subject)}{query}")
    assert (answer.status, answer["content-type"]) == (200, OCI_INDEX), answer
    assert (answer.json["schemaVersion"], answer.json["mediaType"]) == (2, OCI_INDEX)
    found: list[dict[str, Any]] = answer.json["manifests"]
    return found


def test_nothing_refers_to_what_is_not_here(registry: Registry) -> None:
    assert rows(registry) == []


def test_a_row_for_a_subject_that_is_not_here_yet(registry: Registry) -> None:
    body = attach(registry, "text/a", annotations={"a.b": "größer"})
    assert rows(registry) == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": sha256(body),
            "size": len(body),
            "artifactType": "text/a",
            "annotations": {"a.b": "größer"},
        }
    ]


def test_the_kind_of_an_image_is_its_config_s(registry: Registry) -> None:
    body = attach(registry, "text/a", artifactType=None)
    assert [(row["digest"], row["artifactType"]) for row in rows(registry)] == [(sha256(body), EMPTY)]


def test_a_subject_that_is_here(registry: Registry) -> None:
    registry.push(B)
    attach(registry, "text/a", B.body)
    assert [row["artifactType"] for row in rows(registry, subject=B.body)].count("text/a") == 1


def test_an_index_refers_too(registry: Registry) -> None:
    inner = attach(registry, "text/a")
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "artifactType": "text/index",
            "manifests": [descriptor(OCI_MANIFEST, inner)],
            "subject": descriptor(OCI_MANIFEST, SUBJECT),
        }
    ).encode()
    answer = registry.put(sha256(body), body, OCI_INDEX)
    assert (answer.status, answer["oci-subject"]) == (201, sha256(SUBJECT)), answer
    assert {row["artifactType"] for row in rows(registry)} == {"text/a", "text/index"}


def test_the_filter(registry: Registry) -> None:
    for kind in ("text/a", "text/b"):
        attach(registry, kind)
    path = f"{registry.base}/referrers/{sha256(SUBJECT)}"
    everything = registry.get(path)
    assert (len(everything.json["manifests"]), everything.all("oci-filters-applied")) == (2, [])
    some = registry.get(f"{path}?artifactType=text/a")
    assert [row["artifactType"] for row in some.json["manifests"]] == ["text/a"]
    assert some["oci-filters-applied"] == "artifactType"
    assert rows(registry, "?artifactType=text/c") == []
    assert rows(registry, "?artifactType=text%2Fb")[0]["artifactType"] == "text/b"


def test_a_row_goes_with_its_manifest(registry: Registry) -> None:
    body = attach(registry, "text/a")
    assert registry.ask("DELETE", f"{registry.base}/manifests/{sha256(body)}").status == 202
    assert rows(registry) == []


def test_a_row_stays_when_its_subject_goes(registry: Registry) -> None:
    registry.push(B)
    attach(registry, "text/a", B.body)
    assert registry.ask("DELETE", f"{registry.base}/manifests/{B.digest}").status == 202
    assert [row["artifactType"] for row in rows(registry, subject=B.body)].count("text/a") == 1


def test_rows_belong_to_one_repository(registry: Registry) -> None:
    attach(registry, "text/a")
    assert rows(registry.other()) == []


@pytest.mark.parametrize("digest", ["latest", "sha256:0", "sha256:" + "g" * 64, "md5:" + "0" * 32])
def test_what_is_no_digest(registry: Registry, digest: str) -> None:
    answer = registry.get(f"{registry.base}/referrers/{digest}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_many_are_paged(registry: Registry) -> None:
    # A page holds a thousand.
    subject = {"subject": descriptor(OCI_MANIFEST, SUBJECT)}
    for data in (b"{}", b"x"):
        registry.blob(data)
    for number in range(1001):
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": f"text/{number % 2}",
                "config": descriptor(EMPTY, b"{}"),
                "layers": [descriptor(IN_TOTO, b"x")],
                "annotations": {"number": str(number)},
                **subject,
            }
        ).encode()
        assert registry.put(sha256(body), body).status == 201
    seen: list[str] = []
    path = f"{registry.base}/referrers/{sha256(SUBJECT)}?artifactType=text%2F1"
    pages = 0
    while path:
        answer = registry.get(path)
        seen += [row["annotations"]["number"] for row in answer.json["manifests"]]
        link = answer.get("link")
        path = link[1:].partition(">")[0] if link else ""
        assert not path or path.startswith(f"{registry.base}/referrers/")
        pages += 1
    assert pages == 2
    assert sorted(map(int, seen)) == list(range(1, 1001, 2))
    assert rows(registry.other(), "?last=zzz") == []
    assert registry.get(f"{registry.base}/referrers/{MISSING}").json["manifests"] == []
