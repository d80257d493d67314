"""The clients that people push and pull with: each its own way, in and out, whole and unchanged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.real import cosign, images
from tests.real.process import Finished, Word, environment, run, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import get, request

pytestmark = [pytest.mark.real, pytest.mark.slow]

NOT_HERE = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def module() -> bytes:
    return require("plugin").read_bytes()


@pytest.fixture
def layout(tmp_path: Path, module: bytes) -> tuple[Path, str]:
    """An OCI layout of a good image, tagged v1, and its digest."""
    return tmp_path / "layout", images.layout(tmp_path / "layout", images.layer("plugin.wasm", module))


@pytest.fixture
def bad_layout(tmp_path: Path) -> Path:
    """An OCI layout of an image that has no plugin.wasm."""
    images.layout(tmp_path / "bad", images.layer("readme.txt", b"no plugin"))
    return tmp_path / "bad"


def tags(server: Sidecargo, repository: str) -> list[str]:
    answer = get(f"{server.url}/v2/{repository}/tags/list")
    found: list[str] = json.loads(answer.body)["tags"] if answer.status == 200 else []
    return [tag for tag in found if not tag.startswith("sha256-")]


def refused(done: Finished) -> None:
    """The client failed and showed its user why."""
    assert done.code != 0, done.said
    assert "plugin.wasm" in done.said, done.said


class TestSkopeo:
    def skopeo(self, *words: Word) -> tuple[Word, ...]:
        return (require("skopeo"), "--insecure-policy", *words)

    def test_in_and_out(self, sidecargo: Sidecargo, layout: tuple[Path, str], tmp_path: Path) -> None:
        source, digest = layout
        image = f"docker://{sidecargo.host}/clients/skopeo:v1"
        succeed(*self.skopeo("copy", "--dest-tls-verify=false", f"oci:{source}:v1", image))
        shown = succeed(*self.skopeo("inspect", "--tls-verify=false", image))
        assert json.loads(shown.out)["Digest"] == digest
        succeed(*self.skopeo("copy", "--src-tls-verify=false", image, f"oci:{tmp_path}/back:v1"))
        kept = json.loads((tmp_path / "back" / "index.json").read_bytes())
        assert kept["manifests"][0]["digest"] == digest

    def test_as_a_docker_image(self, sidecargo: Sidecargo, layout: tuple[Path, str], tmp_path: Path) -> None:
        image = f"docker://{sidecargo.host}/clients/skopeo-docker:v1"
        copy = self.skopeo(
            "copy", "--format", "v2s2", "--dest-tls-verify=false", f"oci:{layout[0]}:v1", image
        )
        succeed(*copy)
        succeed(*self.skopeo("copy", "--src-tls-verify=false", image, f"dir:{tmp_path}/dir"))
        kept = json.loads((tmp_path / "dir" / "manifest.json").read_bytes())
        assert kept["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"

    def test_list_and_delete(self, sidecargo: Sidecargo, layout: tuple[Path, str]) -> None:
        repository = f"docker://{sidecargo.host}/clients/skopeo-delete"
        for tag in ("v1", "v2"):
            copy = ("copy", "--dest-tls-verify=false", f"oci:{layout[0]}:v1", f"{repository}:{tag}")
            succeed(*self.skopeo(*copy))
        listed = succeed(*self.skopeo("list-tags", "--tls-verify=false", repository))
        assert {"v1", "v2"} <= set(json.loads(listed.out)["Tags"])
        succeed(*self.skopeo("delete", "--tls-verify=false", f"{repository}:v1"))
        assert tags(sidecargo, "clients/skopeo-delete") == []  # skopeo deletes the digest, with all its tags

    def test_refused(self, sidecargo: Sidecargo, bad_layout: Path) -> None:
        image = f"docker://{sidecargo.host}/clients/skopeo-bad:v1"
        refused(run(*self.skopeo("copy", "--dest-tls-verify=false", f"oci:{bad_layout}:v1", image)))


class TestCrane:
    def test_in_and_out(self, sidecargo: Sidecargo, layout: tuple[Path, str], tmp_path: Path) -> None:
        source, digest = layout
        crane, image = require("crane"), f"{sidecargo.host}/clients/crane:v1"
        succeed(crane, "push", source, image)
        assert succeed(crane, "digest", image).out.strip() == digest
        succeed(crane, "validate", "--remote", image)
        succeed(crane, "pull", "--format=oci", image, tmp_path / "back")
        assert (tmp_path / "back" / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()

    @pytest.mark.parametrize("base", [(), ("--oci-empty-base",)], ids=["docker", "oci"])
    def test_append(self, sidecargo: Sidecargo, module: bytes, tmp_path: Path, base: tuple[str, ...]) -> None:
        layer = tmp_path / "layer.tar.gz"
        layer.write_bytes(images.layer("plugin.wasm", module))
        crane, image = require("crane"), f"{sidecargo.host}/clients/crane-append:v{len(base)}"
        succeed(crane, "append", *base, "--new_layer", layer, "--new_tag", image)
        exported = succeed(crane, "manifest", image)
        assert len(json.loads(exported.out)["layers"]) == 1

    def test_copy_mounts_tag_list_and_delete(self, sidecargo: Sidecargo, layout: tuple[Path, str]) -> None:
        source, digest = layout
        crane, host = require("crane"), sidecargo.host
        succeed(crane, "push", source, f"{host}/clients/crane-from:v1")
        succeed(crane, "copy", f"{host}/clients/crane-from:v1", f"{host}/clients/crane-to:v1")
        succeed(crane, "tag", f"{host}/clients/crane-to:v1", "v2")
        assert succeed(crane, "ls", "--omit-digest-tags", f"{host}/clients/crane-to").out.split() == [
            "v1",
            "v2",
        ]
        assert "clients/crane-to" in succeed(crane, "catalog", host).out.split()
        succeed(crane, "delete", f"{host}/clients/crane-to:v1")
        assert tags(sidecargo, "clients/crane-to") == ["v2"]
        succeed(crane, "delete", f"{host}/clients/crane-to@{digest}")
        assert tags(sidecargo, "clients/crane-to") == []
        succeed(crane, "validate", "--remote", f"{host}/clients/crane-from:v1")

    def test_refused(self, sidecargo: Sidecargo, bad_layout: Path) -> None:
        refused(run(require("crane"), "push", bad_layout, f"{sidecargo.host}/clients/crane-bad:v1"))


class TestOras:
    def oras(self, *words: Word, folder: Path) -> Finished:
        env = environment(HOME=str(folder), DOCKER_CONFIG=str(folder / "docker"))
        return run(require("oras"), *words, "--plain-http", env=env, folder=folder)

    def push(self, sidecargo: Sidecargo, module: bytes, folder: Path, name: str) -> str:
        """Push the module as two layers, one of them raw; returns HOST/REPOSITORY."""
        (folder / "plugin.wasm").write_bytes(module)
        (folder / "config.json").write_text("{}")
        image = f"{sidecargo.host}/clients/{name}"
        pushed = self.oras(
            "push",
            f"{image}:v1",
            "config.json:application/vnd.module.wasm.config.v1+json",
            "plugin.wasm:application/vnd.module.wasm.content.layer.v1+wasm",
            folder=folder,
        )
        assert pushed.code == 0, pushed.said
        return image

    def test_in_and_out(self, sidecargo: Sidecargo, module: bytes, tmp_path: Path) -> None:
        image = self.push(sidecargo, module, tmp_path, "oras")
        pulled = self.oras("pull", f"{image}:v1", "--output", "back", folder=tmp_path)
        assert pulled.code == 0, pulled.said
        assert (tmp_path / "back" / "plugin.wasm").read_bytes() == module
        listed = self.oras("repo", "tags", image, folder=tmp_path)
        assert "v1" in listed.out.split(), listed.said

    def test_attach_and_discover(self, sidecargo: Sidecargo, module: bytes, tmp_path: Path) -> None:
        image = self.push(sidecargo, module, tmp_path, "oras-attach")
        (tmp_path / "sbom.json").write_text("{}")
        attach = ("attach", "--artifact-type", "application/spdx+json", f"{image}:v1")
        attached = self.oras(*attach, "sbom.json:application/spdx+json", folder=tmp_path)
        assert attached.code == 0, attached.said
        discover = ("discover", "--format", "json", "--artifact-type", "application/spdx+json", f"{image}:v1")
        found = self.oras(*discover, folder=tmp_path)
        assert found.code == 0, found.said
        referrers = json.loads(found.out)["referrers"]
        assert [one["artifactType"] for one in referrers] == ["application/spdx+json"]

    def test_blobs_and_delete(self, sidecargo: Sidecargo, module: bytes, tmp_path: Path) -> None:
        image = self.push(sidecargo, module, tmp_path, "oras-delete")
        digest = f"sha256:{hashlib.sha256(module).hexdigest()}"
        fetched = self.oras("blob", "fetch", f"{image}@{digest}", "--output", "blob", folder=tmp_path)
        assert fetched.code == 0, fetched.said
        assert (tmp_path / "blob").read_bytes() == module
        for command in (("manifest", "delete", f"{image}:v1"), ("blob", "delete", f"{image}@{digest}")):
            deleted = self.oras(*command, "--force", folder=tmp_path)
            assert deleted.code == 0, deleted.said
        assert tags(sidecargo, "clients/oras-delete") == []
        assert request("HEAD", f"{sidecargo.url}/v2/clients/oras-delete/blobs/{digest}").status == 404

    def test_refused(self, sidecargo: Sidecargo, module: bytes, tmp_path: Path) -> None:
        (tmp_path / "plugin.wasm").write_bytes(module)
        image = f"{sidecargo.host}/clients/oras-bad:v1"
        done = self.oras("push", image, "plugin.wasm", folder=tmp_path)
        assert done.code != 0, done.said
        assert "layer" in done.said, done.said


class TestRegctl:
    @pytest.fixture
    def regctl(self, sidecargo: Sidecargo, tmp_path: Path) -> Path:
        """A folder that holds regctl's own configuration: plain http, uploads in chunks of 64 KiB."""
        home = tmp_path / "regctl"
        home.mkdir()
        chunks = ("--blob-chunk", "65536", "--blob-max", "65536")
        registry = ("registry", "set", sidecargo.host, "--tls", "disabled", *chunks)
        done = self.run(home, *registry, "--skip-check")
        assert done.code == 0, done.said
        return home

    def run(self, home: Path, *words: Word, text: str | None = None) -> Finished:
        env = environment(HOME=str(home), REGCTL_CONFIG=str(home / "config.json"))
        return run(require("regctl"), *words, env=env, folder=home, text=text)

    def succeed(self, home: Path, *words: Word, text: str | None = None) -> str:
        done = self.run(home, *words, text=text)
        assert done.code == 0, (words, done.said)
        return done.out.strip()

    def test_in_and_out_in_chunks(self, sidecargo: Sidecargo, regctl: Path, layout: tuple[Path, str]) -> None:
        source, digest = layout
        image = f"{sidecargo.host}/clients/regctl:v1"
        self.succeed(regctl, "image", "copy", f"ocidir://{source}:v1", image)
        assert self.succeed(regctl, "image", "digest", image) == digest
        self.succeed(regctl, "image", "copy", image, "ocidir://back:v1")
        assert self.succeed(regctl, "image", "digest", "ocidir://back:v1") == digest

    def test_list_tag_delete_and_artifacts(
        self, sidecargo: Sidecargo, regctl: Path, layout: tuple[Path, str]
    ) -> None:
        image = f"{sidecargo.host}/clients/regctl-delete"
        for tag in ("v1", "v2"):
            self.succeed(regctl, "image", "copy", f"ocidir://{layout[0]}:v1", f"{image}:{tag}")
        artifact = ("artifact", "put", "--subject", f"{image}:v1", "--artifact-type", "application/spdx+json")
        self.succeed(regctl, *artifact, "--file-media-type", "application/spdx+json", text="{}")
        listed = self.succeed(
            regctl, "artifact", "list", f"{image}:v1", "--filter-artifact-type", "application/spdx+json",
            "--format", "{{len .Descriptors}}",
        )  # fmt: skip
        assert listed == "1"
        self.succeed(regctl, "tag", "delete", f"{image}:v1")
        assert tags(sidecargo, "clients/regctl-delete") == ["v2"]

    def test_a_blob_of_another_digest_is_refused_and_its_upload_given_up(
        self, sidecargo: Sidecargo, regctl: Path
    ) -> None:
        put = ("blob", "put", f"{sidecargo.host}/clients/regctl-blob", "--digest", NOT_HERE)
        done = self.run(regctl, *put, text="content")
        assert done.code != 0, done.said
        answer = get(f"{sidecargo.url}/v2/clients/regctl-blob/blobs/{NOT_HERE}")
        assert answer.status == 404

    def test_refused(self, sidecargo: Sidecargo, regctl: Path, bad_layout: Path) -> None:
        image = f"{sidecargo.host}/clients/regctl-bad:v1"
        refused(self.run(regctl, "image", "copy", f"ocidir://{bad_layout}:v1", image))


class TestCosign:
    def test_verifies_what_loads_with_the_registrys_key_only(
        self, sidecargo: Sidecargo, layout: tuple[Path, str], tmp_path: Path
    ) -> None:
        source, digest = layout
        image = f"{sidecargo.host}/clients/cosign"
        succeed(require("crane"), "push", source, f"{image}:v1")
        key = sidecargo.public_key(tmp_path / "registry.pub")
        foreign = cosign.new_key(tmp_path)
        for reference in (f"{image}:v1", f"{image}@{digest}"):
            verified = cosign.verify(reference, key)
            assert verified.code == 0, verified.said
            payload = json.loads(verified.out)[0]
            assert payload["critical"]["image"]["docker-manifest-digest"] == digest
            assert payload["critical"]["type"].startswith("https://")
            assert cosign.verify(reference, foreign).code != 0

    def test_a_users_own_signature_is_kept_beside(
        self, sidecargo: Sidecargo, layout: tuple[Path, str], tmp_path: Path
    ) -> None:
        source, digest = layout
        image = f"{sidecargo.host}/clients/cosign-own"
        succeed(require("crane"), "push", source, f"{image}:v1")
        mine = cosign.new_key(tmp_path)
        signed = cosign.sign(f"{image}@{digest}", mine.with_suffix(".key"))
        assert signed.code == 0, signed.said
        verified = cosign.verify(f"{image}:v1", mine)
        assert verified.code == 0, verified.said


def test_an_upload_is_cancelled_without_further_right(sidecargo: Sidecargo) -> None:
    begun = request("POST", f"{sidecargo.url}/v2/clients/cancel/blobs/uploads/")
    assert begun.status == 202, begun
    session = sidecargo.url + begun.headers["Location"]
    assert get(session).status == 204
    assert request("DELETE", session).status == 204
    assert get(session).status == 404
