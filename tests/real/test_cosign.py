"""What the registry signs, verified by both cosigns; and what users sign beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.cli.main import run
from registry.signing import cosign
from registry.signing.admission import ADMITTED
from registry.signing.bundle import BUNDLE_TYPE, SIGNED, Statement
from registry.signing.keys import load
from storage.digest import Digest
from tests.real import cosign as real
from tests.real import sidecargo as sidecargo_process
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import Shape, descriptor, image, index, sha256
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, A, B
from tests.registry.talk import Registry, fresh

pytestmark = [pytest.mark.real, pytest.mark.slow]

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
GENERATIONS = pytest.mark.parametrize("generation", [2, 3])


@pytest.fixture
def registry(sidecargo: Sidecargo) -> Registry:
    return fresh(sidecargo.host)


@pytest.fixture
def key(sidecargo: Sidecargo, tmp_path: Path) -> Path:
    return sidecargo.public_key(tmp_path / "cosign.pub")


@pytest.fixture(scope="module")
def tag_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A server that makes no bundles."""
    folder = tmp_path_factory.mktemp("tag-only")
    (folder / "s.yaml").write_text("signing: {bundles: false}\n")
    server = sidecargo_process.start(folder, settings=folder / "s.yaml")
    try:
        yield server
    finally:
        server.stop()


def by(registry: Registry, shape: Shape) -> Iterator[str]:
    """The references of what was pushed as v1: by tag and by digest."""
    yield f"{registry.host}/{registry.name}:v1"
    yield f"{registry.host}/{registry.name}@{shape.digest}"


@GENERATIONS
@pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
def test_images_and_indexes(registry: Registry, key: Path, shape: Shape, generation: int) -> None:
    assert registry.push(shape).status == 201
    for reference in by(registry, shape):
        done = real.verify(reference, key, generation=generation)
        assert done.code == 0, done.said
        assert SIGNED in done.out
    for child in shape.children:
        done = real.verify(f"{registry.host}/{registry.name}@{child.digest}", key, generation=generation)
        assert (done.code == 0) is (child is B), done.said


@GENERATIONS
def test_under_cosign_s_tag_alone(tag_only: Sidecargo, tmp_path: Path, generation: int) -> None:
    registry, key = fresh(tag_only.host), tag_only.public_key(tmp_path / "cosign.pub")
    registry.push(BUILDX)
    for reference in by(registry, BUILDX):
        done = real.verify(reference, key, generation=generation)
        assert done.code == 0, done.said
        assert "cosign container image signature" in done.out


@GENERATIONS
def test_what_is_said_of_a_push(registry: Registry, key: Path, generation: int) -> None:
    registry.push(B)
    for reference in by(registry, B):
        done = real.verify_attestation(reference, key, ADMITTED, generation=generation)
        assert done.code == 0, done.said
    statement = json.loads(base64.b64decode(json.loads(done.out)["payload"]))
    assert statement["subject"][0]["digest"] == {"sha256": B.digest.removeprefix("sha256:")}
    assert statement["predicate"]["pushed"]["by"] == "anonymous"
    assert real.verify_attestation(reference, key, "https://example.com/x", generation=generation).code != 0


@GENERATIONS
def test_a_foreign_key(registry: Registry, tmp_path: Path, generation: int) -> None:
    registry.push(B)
    foreign = real.new_key(tmp_path)
    for reference in by(registry, B):
        done = real.verify(reference, foreign, generation=generation)
        assert done.code != 0, done.said


@GENERATIONS
def test_signatures_under_the_tag_of_another_manifest(
    tag_only: Sidecargo, tmp_path: Path, generation: int
) -> None:
    registry, key = fresh(tag_only.host), tag_only.public_key(tmp_path / "cosign.pub")
    registry.push(B)
    registry.push(ATTESTATION, "v2")
    held = registry.get(f"{registry.base}/manifests/{B.digest.replace(':', '-')}.sig").body
    assert registry.put(f"{ATTESTATION.digest.replace(':', '-')}.sig", held).status == 201
    assert real.verify(f"{registry.host}/{registry.name}:v1", key, generation=generation).code == 0
    done = real.verify(f"{registry.host}/{registry.name}:v2", key, generation=generation)
    assert done.code != 0, done.said


@GENERATIONS
@pytest.mark.parametrize("forged", [False, True], ids=["moved", "with another payload"])
def test_bundles_of_another_manifest(registry: Registry, key: Path, generation: int, forged: bool) -> None:
    """Those of B refer to the attestation instead; forged, they speak of it too, under the old signature."""
    registry.push(B)
    registry.push(ATTESTATION, "v2")
    subject = descriptor(ATTESTATION.media_type, ATTESTATION.body)
    for digest in rows(registry):
        manifest = registry.get(f"{registry.base}/manifests/{digest}").json | {"subject": subject}
        if forged:
            held = registry.get(f"{registry.base}/blobs/{manifest['layers'][0]['digest']}").json
            statement = Statement(Digest.parse(ATTESTATION.digest), SIGNED, {}).payload()
            held["dsseEnvelope"]["payload"] = base64.b64encode(statement).decode()
            data = json.dumps(held).encode()
            registry.blob(data)
            manifest["layers"] = [descriptor(BUNDLE_TYPE, data)]
        body = json.dumps(manifest).encode()
        assert registry.put(sha256(body), body).status == 201
    done = real.verify(f"{registry.host}/{registry.name}:v2", key, generation=generation)
    assert done.code != 0, done.said


def layers(registry: Registry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = registry.get(
        f"{registry.base}/manifests/{B.digest.replace(':', '-')}.sig"
    ).json["layers"]
    return found


def test_a_user_signs_as_cosign_2_does(registry: Registry, key: Path, tmp_path: Path) -> None:
    registry.push(B)
    (mine,) = layers(registry)
    (tmp_path / "user").mkdir()
    real.new_key(tmp_path / "user")
    reference = f"{registry.host}/{registry.name}@{B.digest}"
    done = real.sign(reference, tmp_path / "user" / "cosign.key")
    assert done.code == 0, done.said
    assert len(layers(registry)) == 2 and mine in layers(registry)
    # What it copies from elsewhere holds its own only: the tag keeps ours.
    (theirs,) = [layer for layer in layers(registry) if layer != mine]
    payload = registry.get(f"{registry.base}/blobs/{theirs['digest']}").body
    made = image("theirs", [(cosign.PAYLOAD_TYPE, payload)], None, config=(cosign.CONFIG_TYPE, b"{}"))
    registry.content(made)
    alone = json.dumps({**made.manifest, "layers": [theirs]}).encode()
    answer = registry.put(f"{B.digest.replace(':', '-')}.sig", alone)
    assert answer["docker-content-digest"] == sha256(alone)
    assert layers(registry) == [theirs, mine]
    assert real.verify(reference, key).code == 0


@GENERATIONS
@pytest.mark.parametrize("signing", [(2,), (3,), (2, 3)], ids=str)
def test_both_verify_where_a_user_signed_too(
    registry: Registry, key: Path, tmp_path: Path, generation: int, signing: tuple[int, ...]
) -> None:
    """In the older form and in the newer one; with both, by the newer."""
    registry.push(BUILDX)
    reference = f"{registry.host}/{registry.name}:v1"
    users = []
    for one in signing:
        folder = tmp_path / str(one)
        folder.mkdir()
        users.append(real.new_key(folder))
        done = real.sign(reference, folder / "cosign.key", generation=one)
        assert done.code == 0, done.said
    for _ in range(2):
        for public in (key, users[-1]):
            done = real.verify(reference, public, generation=generation)
            assert done.code == 0, done.said
        assert registry.push(BUILDX).status == 201


def test_the_same_fields_as_cosign_writes(registry: Registry, tmp_path: Path) -> None:
    """Of the bundle all but the key and the signature, of its manifest all but the time."""
    registry.push(B)
    (tmp_path / "user").mkdir()
    real.new_key(tmp_path / "user")
    before = rows(registry)
    assert (
        real.sign(f"{registry.host}/{registry.name}:v1", tmp_path / "user" / "cosign.key", generation=3).code
        == 0
    )
    (theirs,) = rows(registry).keys() - before.keys()
    ours = next(digest for digest, kind in before.items() if kind == SIGNED)
    manifest, made = (registry.get(f"{registry.base}/manifests/{one}").json for one in (theirs, ours))
    bundles = [
        registry.get(f"{registry.base}/blobs/{one['layers'][0]['digest']}").json for one in (manifest, made)
    ]
    for one in (manifest, made):
        one["annotations"].pop("org.opencontainers.image.created", None)
        one["layers"] = [layer["mediaType"] for layer in one["layers"]]
    assert made == manifest
    for one in bundles:
        assert one["verificationMaterial"]["publicKey"].pop("hint")
        assert one["dsseEnvelope"]["signatures"][0].pop("sig")
    assert bundles[1] == bundles[0]


def test_the_same_fields_as_cosign_2_writes(registry: Registry, tmp_path: Path) -> None:
    """Of a layer all but what is signed and by whom; the payload as a document."""
    registry.push(B)
    (tmp_path / "user").mkdir()
    real.new_key(tmp_path / "user")
    (mine,) = layers(registry)
    reference = f"{registry.host}/{registry.name}:v1"
    assert real.sign(reference, tmp_path / "user" / "cosign.key").code == 0
    (theirs,) = [layer for layer in layers(registry) if layer != mine]
    payloads = [registry.get(f"{registry.base}/blobs/{one['digest']}").json for one in (theirs, mine)]
    assert payloads[0] == payloads[1]
    for one in (theirs, mine):
        assert set(one.pop("annotations")) == {cosign.SIGNATURE}
        del one["digest"], one["size"]
    assert theirs == mine
    document = registry.get(f"{registry.base}/manifests/{B.digest.replace(':', '-')}.sig").json
    config = registry.get(f"{registry.base}/blobs/{document['config']['digest']}").json
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in layers(registry)]


@GENERATIONS
def test_sidecargo_verifies_what_cosign_signed(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], generation: int
) -> None:
    registry.push(BUILDX)
    (tmp_path / "other").mkdir()
    public, foreign = real.new_key(tmp_path), real.new_key(tmp_path / "other")
    for reference in by(registry, BUILDX):
        assert run(["verify", reference, "--key", str(public)]) == 1
    assert real.sign(reference, tmp_path / "cosign.key", generation=generation).code == 0
    for reference in by(registry, BUILDX):
        capsys.readouterr()
        assert run(["verify", reference, "--key", str(public), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["signatures"]
        assert [one["form"] for one in found if one["ok"]] == [{2: "tag", 3: "bundle"}[generation]]
        assert run(["verify", reference, "--key", str(foreign)]) == 1


def rows(registry: Registry) -> dict[str, str]:
    """What refers to B, and of which type its predicate is."""
    found = registry.get(f"{registry.base}/referrers/{B.digest}").json["manifests"]
    return {row["digest"]: row["annotations"]["dev.sigstore.bundle.predicateType"] for row in found}


@GENERATIONS
def test_a_key_that_cosign_made_signs(
    serve: Callable[..., Sidecargo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: int
) -> None:
    public = real.new_key(tmp_path, generation=generation, passphrase="correct horse")
    path = tmp_path / "cosign.key"
    assert load(path.read_bytes(), "correct horse").public_pem == public.read_bytes()
    monkeypatch.setenv("COSIGN_PASSWORD", "correct horse")
    (tmp_path / "s.yaml").write_text(f"signing: {{keys: [{path}]}}\n")
    server = serve(settings=tmp_path / "s.yaml")
    registry = fresh(server.host)
    registry.push(B)
    for one in (2, 3):
        done = real.verify(f"{registry.host}/{registry.name}:v1", public, generation=one)
        assert done.code == 0, done.said
    assert "correct horse" not in (server.folder / "sidecargo.log").read_text()
