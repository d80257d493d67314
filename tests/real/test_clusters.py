"""Admission policies in a cluster: what deploy/ has, judged by Kyverno's and policy-controller's own code.

Two registries: the one that the policies name, and another one; the same image is signed by each with its own
key, and in the first there is one that loads nowhere, which is let in and not signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real import crds, sidecargo
from tests.real.process import Finished, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.registry.consumers.build import sha256
from tests.registry.consumers.shapes import BAD, B
from tests.registry.talk import Registry

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIGNED, UNSIGNED = f"team/auth@{sha256(B.body)}", f"team/draft@{sha256(BAD.body)}"


@dataclass(frozen=True, slots=True)
class Scene:
    """The registry of the policies, another one, and the first one's key."""

    here: Sidecargo
    elsewhere: Sidecargo
    key: str
    foreign: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    servers = []
    for name in ("here", "elsewhere"):
        folder = tmp_path_factory.mktemp(name)
        settings = folder / "settings.yaml"
        settings.write_text("admission: {mode: warn}\n")
        servers.append(sidecargo.start(folder, settings=settings))
        for repository, shape in (("team/auth", B), ("team/draft", BAD)):
            assert Registry(servers[-1].host, repository).push(shape).status == 201
    here, elsewhere = servers
    keys = [server.public_key(server.folder / "cosign.pub").read_text() for server in servers]
    yield Scene(here, elsewhere, *keys)
    for server in servers:
        server.stop()


def policy(scene: Scene, name: str, folder: Path, key: str | None = None) -> Path:
    """A file of deploy/ with this registry's name and key in it, as its comment says."""
    text = (ROOT / "deploy" / name).read_text().replace("plugins.example.com", scene.here.host)
    before, _, rest = text.partition("-----BEGIN PUBLIC KEY-----\n")
    margin = before[before.rindex("\n") + 1 :]
    after = rest.partition("-----END PUBLIC KEY-----\n")[2]
    lines = (key or scene.key).strip().splitlines()
    path = folder / name
    path.write_text(before + f"\n{margin}".join(lines) + "\n" + after)
    return path


@pytest.fixture
def kyverno(scene: Scene, tmp_path: Path) -> Callable[..., Finished]:
    """Have Kyverno judge a WasmPlugin with this `url`."""
    binary = require("kyverno")

    def judge(url: str, key: str | None = None) -> Finished:
        plugin = {
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {"name": "auth", "namespace": "team"},
            "spec": {"url": url},
        }
        resource = tmp_path / "wasmplugin.json"
        resource.write_text(json.dumps(plugin))
        written = policy(scene, "kyverno.yaml", tmp_path, key)
        command = [binary, "apply", written, "--resource", resource, "--crd-paths", crds.files()[0]]
        return run(*command, "--registry", "--detailed-results")

    return judge


def test_kyverno_lets_a_signed_plugin_through(scene: Scene, kyverno: Callable[..., Finished]) -> None:
    done = kyverno(f"oci://{scene.here.host}/{SIGNED}")
    assert done.code == 0, done.said
    assert "pass: 1" in done.said, done.said


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"oci://{{here}}/{UNSIGNED}", "has no signature"),
        ("oci://{here}/team/auth:v1", "must be named by digest"),
        (f"oci://{{elsewhere}}/{SIGNED}", "must come from"),
        (f"http://{{here}}/plugins/{SIGNED}/plugin.wasm", "must come from"),
    ],
    ids=["unsigned", "by tag", "of another registry", "by plain URL"],
)
def test_kyverno_refuses(scene: Scene, kyverno: Callable[..., Finished], url: str, why: str) -> None:
    done = kyverno(url.format(here=scene.here.host, elsewhere=scene.elsewhere.host))
    assert done.code != 0, done.said
    assert "fail: 1" in done.said, done.said
    assert why in done.said, done.said


def test_kyverno_refuses_what_another_key_signed(scene: Scene, kyverno: Callable[..., Finished]) -> None:
    done = kyverno(f"oci://{scene.here.host}/{SIGNED}", scene.foreign)
    assert done.code != 0, done.said
    assert "fail: 1" in done.said, done.said


@pytest.fixture
def controller(scene: Scene, tmp_path: Path) -> Callable[..., Finished]:
    """Have policy-controller judge an image."""
    binary = require("policycontroller")

    def judge(image: str, key: str | None = None) -> Finished:
        return run(binary, policy(scene, "policy-controller.yaml", tmp_path, key), image)

    return judge


def test_policy_controller_lets_a_signed_image_through(
    scene: Scene, controller: Callable[..., Finished]
) -> None:
    for reference in (SIGNED, "team/auth:v1"):
        done = controller(f"{scene.here.host}/{reference}")
        assert done.code == 0, done.said


def test_policy_controller_refuses(scene: Scene, controller: Callable[..., Finished]) -> None:
    unsigned = controller(f"{scene.here.host}/{UNSIGNED}")
    foreign = controller(f"{scene.here.host}/{SIGNED}", scene.foreign)
    elsewhere = controller(f"{scene.elsewhere.host}/{SIGNED}")
    for done, why in (
        (unsigned, "no signatures found"),
        (foreign, "signature"),
        (elsewhere, "uncovered by policy"),
    ):
        assert done.code == 1, done.said
        assert why in done.said.lower(), done.said
