"""What who may not push gets of repositories that ask for signatures: on every way to a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from registry.client.copying import Place
from registry.client.credentials import Credential
from registry.client.remote import Remote
from registry.signing import bundle
from registry.signing.keys import SigningKey, new_key
from storage.digest import Digest
from storage.manifest import Descriptor
from tests.registry.client import pushing
from tests.registry.consumers.build import Shape, index
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, A, B
from tests.registry.guarded import SECRET
from tests.registry.talk import Answer, Registry
from tests.registry.verifying import NAME, puller, pusher, verifying

KEY, FOREIGN = new_key(), new_key()
BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("verifying")
    (folder / "cosign.pub").write_bytes(KEY.public_pem)
    with verifying(folder, [folder / "cosign.pub"]) as host:
        yield host


@pytest.fixture
def registry(host: str) -> Registry:
    return pusher(host, f"prod/{uuid4().hex}")


def paths(registry: Registry, reference: str = "v1") -> Iterator[str]:
    joint = "@" if ":" in reference else ":"
    yield f"{registry.base}/manifests/{reference}"
    for file in ("", "/plugin.wasm", "/envoy.yaml"):
        yield f"/plugins/{registry.name}{joint}{reference}{file}"
    if joint == ":":
        yield f"/plugins/{registry.name}:{reference}/history"


def pulled(registry: Registry, reference: str = "v1") -> Answer:
    return puller(registry).get(f"{registry.base}/manifests/{reference}")


def sign(registry: Registry, shape: Shape, form: str, key: SigningKey = KEY) -> None:
    with Remote(registry.host, find=lambda _: Credential(NAME, SECRET)) as remote:
        place = Place(remote, registry.name)
        signed = Descriptor(shape.media_type, Digest.parse(shape.digest), len(shape.body))
        if form == "tag":
            pushing.sign(place, signed.digest, key)
        else:
            pushing.attach(place, signed, bundle.sign(signed, key).bundle)


@pytest.mark.parametrize("form", ["tag", "bundle"])
@pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
def test_nothing_of_it_is_had_before_it_is_signed(registry: Registry, shape: Shape, form: str) -> None:
    answer = registry.push(shape)
    assert answer.status == 201
    (warning,) = answer.all("warning")
    command = f"cosign sign --key KEY {registry.host}/{registry.name}@{shape.digest}"
    assert warning.startswith('299 - "') and command in warning
    children = [child for child in shape.children if child is B]
    references = ["v1", shape.digest, *(child.digest for child in children)]
    for key in (None, FOREIGN):
        if key:
            sign(registry, shape, form, key)
        for reference in references:
            for path in paths(registry, reference):
                for _ in range(2):  # as often as it takes to be remembered
                    assert registry.get(path).status == 200, path
                for method in ("GET", "HEAD"):
                    assert puller(registry).ask(method, path).status == 404, path
            refused = pulled(registry, reference)
            assert refused.code == "MANIFEST_UNKNOWN"
            assert "cosign sign --key KEY" in refused.error["message"]
    sign(registry, shape, form)
    for reference in references:
        for path in paths(registry, reference):
            for _ in range(2):
                assert puller(registry).get(path).status == 200, path
    assert registry.push(shape).all("warning") == []


def test_elsewhere_nothing_is_asked(host: str) -> None:
    registry = pusher(host, f"dev/{uuid4().hex}")
    assert registry.push(B).all("warning") == []
    for path in paths(registry):
        assert puller(registry).get(path).status == 200
    assert registry.get(f"/plugins/{registry.name}:v1").json["verification"] is None


def test_attachments_and_listings_are_for_everybody(registry: Registry) -> None:
    registry.push(B)
    sign(registry, B, "tag", FOREIGN)
    assert registry.push(ATTESTATION, "v2").all("warning") == []
    assert pulled(registry, "v2").status == 200
    assert pulled(registry, f"{B.digest.replace(':', '-')}.sig").status == 200
    for path in (f"{registry.base}/referrers/{B.digest}", f"{registry.base}/tags/list"):
        assert puller(registry).get(path).status == 200


def test_a_tag_answers_what_it_named_before(registry: Registry) -> None:
    registry.push(A)
    sign(registry, A, "tag")
    assert pulled(registry).body == A.body
    registry.push(B)
    for _ in range(3):
        assert registry.get(f"{registry.base}/manifests/v1").body == B.body
        answer = pulled(registry)
        assert (answer.body, answer["docker-content-digest"]) == (A.body, A.digest)
    history = f"/plugins/{registry.name}:v1/history"
    assert registry.get(history).json["digest"] == B.digest
    said = puller(registry).get(history).json
    assert (said["digest"], said["former"]) == (A.digest, [])
    report = puller(registry).get(f"/plugins/{registry.name}:v1").json
    assert (report["digest"], report["history"]) == (A.digest, [])
    sign(registry, B, "bundle")
    assert pulled(registry).body == B.body
    assert puller(registry).get(history).json["former"][0]["digest"] == A.digest


@pytest.mark.parametrize("form", ["tag", "bundle"])
def test_a_signature_that_is_deleted(registry: Registry, form: str) -> None:
    registry.push(B)
    sign(registry, B, form)
    for _ in range(3):
        assert [puller(registry).get(path).status for path in paths(registry)] == [200] * 5
    target = f"{B.digest.replace(':', '-')}.sig"
    if form == "bundle":
        rows = registry.get(f"{registry.base}/referrers/{B.digest}").json["manifests"]
        for row in rows:
            assert registry.ask("DELETE", f"{registry.base}/manifests/{row['digest']}").status == 202
    else:
        assert registry.ask("DELETE", f"{registry.base}/manifests/{target}").status == 202
    assert [puller(registry).get(path).status for path in paths(registry)] == [404] * 5


def test_the_report_says_whether_it_is_held_back(registry: Registry) -> None:
    registry.push(B)
    path = f"/plugins/{registry.name}:v1"
    said = registry.get(path).json["verification"]
    assert (said["ok"], said["key"], said["problem"]["code"]) == (False, None, "not-signed")
    page = registry.get(path, {"Accept": "text/html"}).body.decode()
    assert "has no signature by a key that" in page and "cosign sign --key KEY" in page
    sign(registry, B, "tag")
    assert registry.get(path).json["verification"] == {"ok": True, "key": KEY.key_id, "problem": None}
    assert KEY.key_id in registry.get(path, {"Accept": "text/html"}).body.decode()
