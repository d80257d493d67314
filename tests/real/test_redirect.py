"""Large blobs in S3 are fetched from there: clients follow, and nobody gets there without a right."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.keyring import write_new
from tests.real import images, istio
from tests.real.dockerd import Docker
from tests.real.envoy import Envoy, remote
from tests.real.process import environment, succeed
from tests.real.seaweed import Bucket
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.real.web import get, request
from tests.registry.consumers.build import PLUGIN, sha256
from tests.registry.talk import Registry, eventually, fresh
from tests.registry.wasm.binary import custom

pytestmark = [pytest.mark.real, pytest.mark.slow]

SETTINGS = "storage: {redirect: presigned, cache: {memory: 1MB}}\n"
LARGE = 3_000_000


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image whose layer, and whose module, are three times what memory holds."""

    module: bytes
    layer: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The layer's."""
        return sha256(self.layer)


def push(registry: Registry, plugin: bytes = PLUGIN) -> Pushed:
    """Push one that is like no other to v1."""
    module = plugin + custom("padding", os.urandom(LARGE))
    layer = images.layer("plugin.wasm", module)
    config = images.config([layer])
    manifest = images.manifest(config, [layer])
    for data in (layer, config):
        registry.blob(data)
    assert registry.put("v1", manifest).status == 201
    return Pushed(module, layer, manifest)


@pytest.fixture
def server(serve: Callable[..., Sidecargo], bucket: Bucket, tmp_path: Path) -> Iterator[Sidecargo]:
    """One that redirects; what its log may never hold is looked for at the end."""
    write_new(tmp_path / "signing.key")
    settings = tmp_path / "redirect.yaml"
    settings.write_text(SETTINGS)
    flags = ("--storage", bucket.url, "--signing-key", str(tmp_path / "signing.key"))
    started = serve(*flags, settings=settings)
    yield started
    assert "Signature" not in started.process.log.read_text()


@pytest.fixture
def registry(server: Sidecargo) -> Registry:
    return fresh(server.host)


@pytest.fixture
def pushed(registry: Registry) -> Pushed:
    return push(registry)


def redirects(registry: Registry) -> float:
    """How many answers were redirects."""
    counts = registry.counts("sidecargo_requests_total").items()
    return sum(count for labels, count in counts if 'status="307"' in labels)


def test_a_large_blob(registry: Registry, pushed: Pushed, bucket: Bucket) -> None:
    path = f"{registry.base}/blobs/{pushed.digest}"
    head = registry.ask("HEAD", path)
    assert (head.status, head["content-length"], head.all("location")) == (200, str(len(pushed.layer)), [])
    assert (head["docker-content-digest"], head["content-type"]) == (
        pushed.digest,
        "application/octet-stream",
    )
    for fields in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=2000000-"}, {"Range": "bytes=-7"}) * 2:
        answer = registry.get(path, fields)
        assert (answer.status, answer.body, answer["cache-control"]) == (307, b"", "no-store")
        assert answer["location"].startswith(f"{bucket.endpoint}/{bucket.name}/{bucket.prefix}blobs/sha256/")
        found = get(answer["location"], fields)
        start = {"bytes=2000000-": 2_000_000, "bytes=-7": -7}.get(fields.get("Range", ""), 0)
        assert (found.status, found.body) == (206 if fields else 200, pushed.layer[start:])
        assert found.headers["Content-Type"] == "application/octet-stream"
    assert registry.get(path, {"If-None-Match": f'"{pushed.digest}"'}).status == 304


def test_what_is_small_comes_from_memory(registry: Registry, pushed: Pushed) -> None:
    small = os.urandom(100_000)
    path = f"{registry.base}/blobs/{registry.blob(small)}"
    before = registry.counts("sidecargo_hot_total").get('outcome="hits"', 0)

    def hit() -> bool:
        answer = registry.get(path)
        assert (answer.status, answer.body) == (200, small)
        return registry.counts("sidecargo_hot_total").get('outcome="hits"', 0) > before

    eventually(hit)
    assert registry.get(f"{registry.base}/manifests/v1").body == pushed.manifest


def test_nobody_gets_there_without_the_link(registry: Registry, pushed: Pushed) -> None:
    path = f"{registry.base}/blobs/{pushed.digest}"
    elsewhere = f"{registry.other().base}/blobs/{pushed.digest}"
    for method in ("GET", "HEAD"):
        assert registry.ask(method, elsewhere).status == 404
    assert registry.get(path).status == 307
    assert registry.ask("DELETE", path).status == 202
    assert registry.get(path).status == 404


def test_another_object_or_signature_is_refused_by_s3(registry: Registry, pushed: Pushed) -> None:
    url = registry.get(f"{registry.base}/blobs/{pushed.digest}")["location"]
    other = registry.blob(b"of somebody else")
    assert get(url[:-1] + ("0" if url[-1] != "0" else "1")).status == 403
    hexes = [f"{digest[7:9]}/{digest[7:]}" for digest in (pushed.digest, other)]
    assert hexes[0] in url
    assert get(url.replace(*hexes)).status == 403
    assert request("DELETE", url).status == 403
    assert get(url).body == pushed.layer


def test_modules_are_not_redirected(registry: Registry, pushed: Pushed) -> None:
    for reference in (":v1", f"@{sha256(pushed.manifest)}"):
        path = f"/plugins/{registry.name}{reference}/plugin.wasm"
        assert registry.get(path).body == pushed.module
        assert registry.get(path, {"Range": "bytes=-9"}).body == pushed.module[-9:]
    assert redirects(registry) == 0


def test_an_envoy_fetches_a_large_module(registry: Registry, envoy: Callable[..., Envoy]) -> None:
    made = push(registry, require("plugin").read_bytes())
    url = f"http://{registry.host}/plugins/{registry.name}:v1/plugin.wasm"
    running = envoy(remote(url, hashlib.sha256(made.module).hexdigest()), registry=registry.host)
    answer = running.get()
    assert (answer.status, answer.headers.get("x-custom-header")) == (200, "custom-value")


# Clients


def by_skopeo(reference: str, folder: Path) -> None:
    skopeo = (require("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false")
    succeed(*skopeo, f"docker://{reference}", f"oci:{folder}:v1")


def by_crane(reference: str, folder: Path) -> None:
    succeed(require("crane"), "validate", "--remote", reference)
    succeed(require("crane"), "pull", "--format=oci", reference, folder)


def by_oras(reference: str, folder: Path) -> None:
    env = environment(HOME=str(folder.parent), DOCKER_CONFIG=str(folder.parent / "docker"))
    succeed(
        require("oras"), "copy", "--from-plain-http", reference, "--to-oci-layout", f"{folder}:v1", env=env
    )


def by_regctl(reference: str, folder: Path) -> None:
    env = environment(HOME=str(folder.parent), REGCTL_CONFIG=str(folder.parent / "regctl.json"))
    regctl, host = require("regctl"), reference.partition("/")[0]
    succeed(regctl, "registry", "set", host, "--tls", "disabled", "--skip-check", env=env)
    succeed(regctl, "image", "copy", reference, f"ocidir://{folder}:v1", env=env)


@pytest.mark.parametrize("pull", [by_skopeo, by_crane, by_oras, by_regctl], ids=lambda pull: pull.__name__)
def test_a_client_pulls_it_whole(
    registry: Registry, pushed: Pushed, tmp_path: Path, pull: Callable[[str, Path], None]
) -> None:
    pull(f"{registry.host}/{registry.name}:v1", tmp_path / "pulled")
    kept = tmp_path / "pulled" / "blobs" / "sha256" / pushed.digest.removeprefix("sha256:")
    assert kept.read_bytes() == pushed.layer
    assert redirects(registry) > 0


def test_docker_pulls_it_whole(registry: Registry, pushed: Pushed, docker: Docker, tmp_path: Path) -> None:
    reference = f"{registry.host}/{registry.name}:v1"
    docker.succeed("pull", reference)
    made = docker.succeed("create", reference, "none").out.strip()
    docker.succeed("cp", f"{made}:/plugin.wasm", tmp_path / "plugin.wasm")
    docker.succeed("rm", made)
    docker.succeed("rmi", reference)
    assert (tmp_path / "plugin.wasm").read_bytes() == pushed.module
    assert redirects(registry) > 0


@pytest.mark.parametrize("agent", [istio.ISTIO, istio.ENVOY_GATEWAY])
def test_an_agent_fetches_it(registry: Registry, pushed: Pushed, tmp_path: Path, agent: str) -> None:
    fetched = istio.fetch(f"oci://{registry.host}/{registry.name}:v1", tmp_path, by=agent)
    assert (fetched.error, f"sha256:{fetched.sha256}") == ("", sha256(pushed.module))
    assert redirects(registry) > 0


def test_sidecargo_checks_it(registry: Registry, pushed: Pushed) -> None:
    done = succeed(
        *(sys.executable, "-m", "registry", "check", f"{registry.host}/{registry.name}:v1"),
        env=environment(PYTHONPATH=str(ROOT)),
    )
    assert "loads" in done.said, done.said
    assert redirects(registry) > 0
