from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.signing.bundle import BUNDLE_TYPE, EMPTY
from registry.signing.keys import new_key
from storage.digest import Digest
from tests.real.sidecargo import Sidecargo
from tests.registry.client import pushing
from tests.registry.commands import Runner
from tests.registry.consumers.build import descriptor, index, sha256
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, B
from tests.registry.talk import Registry, fresh

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)


@pytest.fixture
def registry(server: Sidecargo) -> Registry:
    return fresh(server.host)


@pytest.fixture
def key(server: Sidecargo, tmp_path: Path) -> Path:
    return server.public_key(tmp_path / "cosign.pub")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    (tmp_path / "foreign.pub").write_bytes(new_key().public_pem)
    return tmp_path / "foreign.pub"


def named(registry: Registry, reference: str = ":v1") -> str:
    return f"{registry.host}/{registry.name}{reference}"


@pytest.mark.parametrize("shape", [B, BUILDX], ids=["an image", "an index"])
def test_signed_by_tag_and_digest(registry: Registry, sidecargo: Runner, key: Path, shape: Any) -> None:
    registry.push(shape)
    for reference in (named(registry), named(registry, f"@{shape.digest}")):
        ran = sidecargo("verify", reference, "--key", key)
        assert (ran.code, ran.err) == (0, "")
        for words in (
            f"names      {shape.digest}",
            f"key        {key} (",
            f"the tag sha256-{shape.digest[7:]}.sig: 1 signature\n",
            f"what refers to {shape.digest}: 2 bundles\n",
            f"holds    made with {key}, and names {shape.digest}",
            "refused  it is a statement of the type https://sidecargo.dev/attestation/admission/v1",
            f"verified: signed with {key}",
        ):
            assert words in ran.out


def test_a_foreign_key(registry: Registry, sidecargo: Runner, foreign: Path) -> None:
    registry.push(B)
    ran = sidecargo("verify", named(registry), "--key", foreign)
    assert (ran.code, ran.err) == (1, "")
    assert "holds" not in ran.out
    assert "refused  it was not made with the key that was given" in ran.out
    assert "not verified: none of its signatures counts" in ran.out
    assert f"fix: Sign it with the key: cosign sign --key KEY {named(registry, f'@{B.digest}')}" in ran.out


def test_one_of_several_keys_is_enough(
    registry: Registry, sidecargo: Runner, key: Path, foreign: Path
) -> None:
    registry.push(B)
    ran = sidecargo("verify", named(registry), "--key", foreign, "--key", key, "--json")
    said = json.loads(ran.out)
    assert (ran.code, said["ok"], said["digest"]) == (0, True, B.digest)
    assert [(one["name"], one["signed"]) for one in said["keys"]] == [(str(foreign), False), (str(key), True)]
    assert said["tag"]["name"] == f"sha256-{B.digest[7:]}.sig" and said["tag"]["digest"]
    assert [(one["form"], one["ok"]) for one in said["signatures"]].count(("tag", True)) == 1
    assert sorted((one["form"], one["ok"]) for one in said["signatures"]) == [
        ("bundle", False),
        ("bundle", True),
        ("tag", True),
    ]


def test_what_nobody_signed(registry: Registry, sidecargo: Runner, key: Path) -> None:
    registry.push(ATTESTATION)
    ran = sidecargo("verify", named(registry), "--key", key)
    assert ran.code == 1
    assert "not verified: there is no signature of it" in ran.out


def test_a_signature_of_another_manifest_under_its_tag(
    registry: Registry, sidecargo: Runner, key: Path
) -> None:
    registry.push(B)
    registry.push(ATTESTATION, "v2")
    held = registry.get(f"{registry.base}/manifests/{B.digest.replace(':', '-')}.sig").body
    assert registry.put(f"{ATTESTATION.digest.replace(':', '-')}.sig", held).status == 201
    ran = sidecargo("verify", named(registry, ":v2"), "--key", key)
    assert ran.code == 1
    assert "refused  the signature is for another manifest" in ran.out


def test_what_is_named_as_a_bundle_and_is_none(registry: Registry, sidecargo: Runner, key: Path) -> None:
    registry.push(ATTESTATION)
    registry.blob(EMPTY)
    subject = descriptor(ATTESTATION.media_type, ATTESTATION.body)
    for layers in ([b"junk"], [b"a", b"b"]):
        for data in layers:
            registry.blob(data)
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": BUNDLE_TYPE,
            "config": descriptor("application/vnd.oci.empty.v1+json", EMPTY),
            "layers": [descriptor(BUNDLE_TYPE, data) for data in layers],
            "subject": subject,
        }
        body = json.dumps(document).encode()
        assert registry.put(sha256(body), body).status == 201
    ran = sidecargo("verify", named(registry), "--key", key)
    assert ran.code == 1
    assert "refused  the bundle is no JSON object." in ran.out
    assert "refused  its manifest does not name one bundle." in ran.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no public key in PEM"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "no public key in PEM"),
        (None, "cannot be read: No such file or directory. Name a public key in PEM"),
    ],
)
def test_keys_that_are_none(sidecargo: Runner, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    ran = sidecargo("verify", "localhost:1/acme/plugin:v1", "--key", tmp_path / "key")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err and str(tmp_path / "key") in ran.err


def test_a_private_key_stands_for_its_public_part(
    registry: Registry, sidecargo: Runner, server: Sidecargo
) -> None:
    registry.push(B)
    private = server.folder / "data" / "private" / "signing.key"
    assert sidecargo("verify", named(registry), "--key", private).code == 0


def test_what_cannot_be_read(registry: Registry, sidecargo: Runner, key: Path) -> None:
    for reference, words in (
        (named(registry, ":none"), "has no tag 'none'"),
        ("plugin:v1", "names no registry"),
        (named(registry, "@sha512:" + "0" * 128), ""),
    ):
        ran = sidecargo("verify", reference, "--key", key)
        assert (ran.code, ran.out) == (2, "")
        assert words in ran.err
    ran = sidecargo("verify", named(registry))
    assert ran.code == 2 and "--key" in ran.err


def test_in_a_registry_without_the_referrers_api(
    distribution: str, sidecargo: Runner, tmp_path: Path
) -> None:
    place, made = pushing.at(distribution, "verify/one"), new_key()
    (tmp_path / "a.pub").write_bytes(made.public_pem)
    pushing.push(place, B)
    reference = f"{distribution}/verify/one:v1"
    pushing.sign(place, Digest.parse(B.digest), made)
    ran = sidecargo("verify", reference, "--key", tmp_path / "a.pub")
    assert (ran.code, ran.err) == (0, "")
    assert "1 signature\n" in ran.out and "no bundles" in ran.out
