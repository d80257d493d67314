"""Logging in as the clients do: with a password and by tokens, with what is right and with what is not."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import images, istio
from tests.real.dockerd import Docker
from tests.real.process import Finished, Word, environment, run
from tests.real.tools import ROOT, require
from tests.registry import guarded as guarding
from tests.registry.consumers.shapes import B
from tests.registry.guarded import PASSWORD, PRIVATE, PUBLIC, SECRET, Guarded, basic

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAMED = "http://plugins.example.com"
WRONG = "wrong"


@pytest.fixture(scope="module", params=["password", "tokens"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    tokens = {"enabled": request.param == "tokens"}
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"), access={"tokens": tokens})
    yield guarded
    guarded.server.stop()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    packed = images.layer("plugin.wasm", require("plugin").read_bytes())
    images.layout(tmp_path / "layout", packed)
    return tmp_path / "layout"


class Client:
    """Runs a client that has a home of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.auth = folder / "docker" / "config.json"
        self.auth.parent.mkdir(parents=True)
        self.auth.write_text("{}")

    def __call__(self, *words: Word, text: str | None = None) -> Finished:
        env = environment(
            HOME=str(self.folder), DOCKER_CONFIG=str(self.auth.parent), REGISTRY_AUTH_FILE=str(self.auth)
        )
        return run(require(self.name), *words, env=env, folder=self.folder, text=text)

    def works(self, *words: Word, text: str | None = None) -> Finished:
        done = self(*words, text=text)
        assert done.code == 0, f"{self.name} {words}: {done.said}"
        return done

    def fails(self, *words: Word, text: str | None = None) -> Finished:
        done = self(*words, text=text)
        assert done.code != 0, f"{self.name} {words}: {done.said}"
        return done


def test_our_own_commands(guarded: Guarded, tmp_path: Path) -> None:
    host, plugin = guarded.host, require("plugin")

    def sidecargo(name: str, secret: str, *words: Word) -> Finished:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{name}:{secret}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        env = environment(DOCKER_CONFIG=str(folder), PYTHONPATH=str(ROOT))
        return run(sys.executable, "-m", "registry", *words, env=env, folder=tmp_path)

    assert sidecargo("pusher", PASSWORD, "push", plugin, f"{host}/team/own:v1").code == 0
    assert sidecargo("deploy", SECRET, "check", f"{host}/team/own:v1").code == 0
    promoted = sidecargo("pusher", PASSWORD, "promote", f"{host}/team/own:v1", f"{host}/team/own-prod:v1")
    assert promoted.code == 0, promoted.said
    for name, secret, words in (
        ("puller", PASSWORD, ("push", plugin, f"{host}/team/own:v2")),
        ("pusher", WRONG, ("push", plugin, f"{host}/team/own:v2")),
        ("other", PASSWORD, ("check", f"{host}/team/own:v1")),
        ("pusher", PASSWORD, ("promote", f"{host}/team/own:v1", f"{host}/other/own:v1")),
    ):
        done = sidecargo(name, secret, *words)
        assert done.code in (1, 2) and done.err.startswith("error: "), done.said
        assert "Traceback" not in done.said


def test_crane(guarded: Guarded, layout: Path, tmp_path: Path) -> None:
    crane, host = Client(tmp_path / "home", "crane"), guarded.host
    crane.works("manifest", f"{host}/{PUBLIC}:v1")
    crane.fails("manifest", f"{host}/{PRIVATE}:v1")
    crane.works("auth", "login", host, "-u", "puller", "-p", PASSWORD)
    assert json.loads(crane.works("manifest", f"{host}/{PRIVATE}:v1").out) == B.manifest
    listed = crane.works("catalog", host).out.split()
    assert {PUBLIC, PRIVATE} <= {*listed}
    assert all(name.startswith(("public/", "team/")) for name in listed), listed
    assert "DENIED" in crane.fails("push", layout, f"{host}/{PRIVATE}:v2").said
    assert "NAME_UNKNOWN" in crane.fails("push", layout, f"{host}/other/x:v2").said
    crane.works("auth", "login", host, "-u", "deploy", "-p", SECRET)
    crane.works("push", layout, f"{host}/team/crane:v1")
    crane.works("copy", f"{host}/team/crane:v1", f"{host}/team/crane-copy:v1")
    crane.works("auth", "login", host, "-u", "gone", "-p", SECRET)
    assert "expired" in crane.fails("manifest", f"{host}/{PRIVATE}:v1").said


def test_skopeo(guarded: Guarded, layout: Path, tmp_path: Path) -> None:
    skopeo, host = Client(tmp_path / "home", "skopeo"), guarded.host
    plain, source, target = "--tls-verify=false", "--src-tls-verify=false", "--dest-tls-verify=false"
    skopeo.works("inspect", plain, "--raw", f"docker://{host}/{PUBLIC}:v1")
    skopeo.fails("inspect", plain, "--raw", f"docker://{host}/{PRIVATE}:v1")
    skopeo.fails("login", plain, "-u", "pusher", "--password-stdin", host, text=WRONG)
    skopeo.works("login", plain, "-u", "pusher", "--password-stdin", host, text=PASSWORD)
    skopeo.works("inspect", plain, "--raw", f"docker://{host}/{PRIVATE}:v1")
    copy = ("--insecure-policy", "copy")
    skopeo.works(*copy, target, f"oci:{layout}:v1", f"docker://{host}/team/skopeo:v1")
    both = (*copy, source, target, f"docker://{host}/team/skopeo:v1")
    skopeo.works(*both, f"docker://{host}/team/skopeo-copy:v1")
    skopeo.fails(*both, f"docker://{host}/other/skopeo:v1")


def test_oras(guarded: Guarded, layout: Path, tmp_path: Path) -> None:
    oras, host = Client(tmp_path / "home", "oras"), guarded.host
    plain = "--plain-http"
    oras.works("manifest", "fetch", plain, f"{host}/{PUBLIC}:v1")
    oras.fails("manifest", "fetch", plain, f"{host}/{PRIVATE}:v1")
    oras.fails("login", plain, "-u", "pusher", "--password-stdin", host, text=WRONG)
    oras.works("login", plain, "-u", "pusher", "--password-stdin", host, text=PASSWORD)
    oras.works("manifest", "fetch", plain, f"{host}/{PRIVATE}:v1")
    to = ("copy", "--from-oci-layout", "--to-plain-http", f"{layout}:v1")
    oras.works(*to, f"{host}/team/oras:v1")
    oras.works("discover", plain, f"{host}/team/oras:v1")
    oras.fails(*to, f"{host}/public/oras:v1")


def test_regctl(guarded: Guarded, layout: Path, tmp_path: Path) -> None:
    regctl, host = Client(tmp_path / "home", "regctl"), guarded.host
    regctl.works("registry", "set", host, "--tls", "disabled", "--skip-check")
    regctl.works("manifest", "get", f"{host}/{PUBLIC}:v1")
    regctl.fails("manifest", "get", f"{host}/{PRIVATE}:v1")
    regctl.fails("registry", "login", host, "-u", "pusher", "--pass-stdin", text=WRONG)
    regctl.works("registry", "login", host, "-u", "pusher", "--pass-stdin", text=PASSWORD)
    regctl.works("image", "copy", f"ocidir://{layout}:v1", f"{host}/team/regctl:v1")
    regctl.works("manifest", "get", f"{host}/team/regctl:v1")
    regctl.fails("image", "copy", f"ocidir://{layout}:v1", f"{host}/other/regctl:v1")


def test_docker(guarded: Guarded, docker: Docker, tmp_path: Path) -> None:
    host = guarded.host
    (tmp_path / "plugin.wasm").write_bytes(require("plugin").read_bytes())
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY plugin.wasm ./plugin.wasm\n")
    for name in ("team/docker", "other/docker", "public/docker"):
        docker.succeed("build", "-t", f"{host}/{name}:v1", tmp_path)
    docker("logout", host)
    assert docker("push", f"{host}/team/docker:v1").code != 0
    assert docker("login", host, "-u", "pusher", "-p", WRONG).code != 0
    docker.succeed("login", host, "-u", "pusher", "-p", PASSWORD)
    docker.succeed("push", f"{host}/team/docker:v1")
    docker.succeed("rmi", f"{host}/team/docker:v1")
    docker.succeed("pull", f"{host}/team/docker:v1")
    said = docker("push", f"{host}/other/docker:v1")
    assert said.code != 0 and "user:pusher may not see it" in said.said, said.said
    docker.succeed("login", host, "-u", "puller", "-p", PASSWORD)
    said = docker("push", f"{host}/team/docker:v1")
    assert said.code != 0 and "user:puller may not push in team/docker" in said.said, said.said
    docker.succeed("login", host, "-u", "admin", "-p", PASSWORD)
    docker.succeed("push", f"{host}/public/docker:v1")
    docker.succeed("logout", host)
    assert docker("pull", f"{host}/team/docker:v1").code != 0
    said = docker("pull", f"{host}/public/docker:v1")
    if guarded.gives_tokens:
        assert said.code == 0, said.said
    else:  # asked for a password, docker asks for nothing without one
        assert "no basic auth credentials" in said.said


@pytest.mark.parametrize(("name", "secret", "fetched"), [("deploy", SECRET, True), ("gone", SECRET, False)])
def test_istio_agent(tmp_path: Path, name: str, secret: str, fetched: bool) -> None:
    """The realm's host must be a DNS name; the registry is reached by the URL of the module."""
    guarded = guarding.start(tmp_path, server={"public_url": NAMED})
    try:
        auth = base64.b64encode(f"{name}:{secret}".encode()).decode()
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {guarded.host: {"auth": auth}}}))
        assert guarded.ask("GET", "/v2/")["www-authenticate"] == f'Basic realm="{NAMED}"'
        module = f"oci://{guarded.host}/{PRIVATE}:v1"
        got = istio.fetch(module, tmp_path / "modules", pull_secret=config)
        assert bool(got.sha256) is fetched, got
        assert istio.fetch(module, tmp_path / "without").error
        assert istio.fetch(f"oci://{guarded.host}/{PUBLIC}:v1", tmp_path / "public").sha256
        assert guarded.ask("GET", "/v2/", basic("deploy", SECRET)).status == 200
    finally:
        guarded.server.stop()
