"""Agents that have no credential download what is private, by URLs that need no login, and only by those."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from registry.signing.keys import new_key
from tests.real import istio, sidecargo
from tests.real.envoy import Envoy, remote
from tests.real.process import environment, run
from tests.real.seaweed import Bucket
from tests.real.tools import ROOT, require
from tests.registry import guarded as guarding
from tests.registry.commands import log_in
from tests.registry.consumers.build import PLUGIN
from tests.registry.consumers.shapes import B
from tests.registry.guarded import PASSWORD, PRIVATE, Guarded, basic
from tests.registry.talk import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

AGENTS = [istio.ISTIO, istio.ENVOY_GATEWAY]
NAME = "team/header"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"), access={"tokens": {"enabled": True}})
    yield guarded
    guarded.server.stop()


@pytest.fixture(scope="module")
def module() -> bytes:
    return require("plugin").read_bytes()


@pytest.fixture
def ours(guarded: Guarded, module: bytes, tmp_path: Path) -> Callable[..., str]:
    """Run a command as who may push; NAME:v1 is pushed."""
    log_in(tmp_path / "docker", guarded.host, "pusher", PASSWORD)
    env = environment(DOCKER_CONFIG=str(tmp_path / "docker"), PYTHONPATH=str(ROOT))

    def command(*words: str | Path) -> str:
        done = run(sys.executable, "-m", "registry", *words, env=env, folder=tmp_path)
        assert done.code == 0, done.said
        return done.out

    command("push", require("plugin"), f"{guarded.host}/{NAME}:v1")
    return command


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("pinned", [False, True], ids=["by-tag", "by-digest"])
def test_agents(
    guarded: Guarded, ours: Callable[..., str], module: bytes, agent: str, pinned: bool, tmp_path: Path
) -> None:
    reference = f"{guarded.host}/{NAME}:v1"
    if pinned:
        digest = guarded.ask("GET", f"/plugins/{NAME}:v1", basic("pusher")).json["digest"]
        reference = f"{guarded.host}/{NAME}@{digest}"
    url = ours("url", reference).strip()
    checksum = hashlib.sha256(module).hexdigest()
    fetched = istio.fetch(url, tmp_path / "agent", checksum=checksum, by=agent)
    assert fetched.error == ""
    assert Path(fetched.path).read_bytes() == module
    plain = url.rpartition("/scu_")[0] + "/plugin.wasm"
    changed = url[: -len("A/plugin.wasm")] + ("B" if url[-13] == "A" else "A") + "/plugin.wasm"
    for wrong in (plain, changed):
        assert istio.fetch(wrong, tmp_path / "none", checksum=checksum, by=agent).error
    ours("url", reference, "--revoke")
    assert istio.fetch(url, tmp_path / "late", checksum=checksum, by=agent).error


def test_what_is_printed_for_istio_is_fetched(
    guarded: Guarded, ours: Callable[..., str], module: bytes, tmp_path: Path
) -> None:
    spec = yaml.safe_load(ours("yaml", "wasmplugin", f"{guarded.host}/{NAME}:v1", "--by", "http"))["spec"]
    fetched = istio.fetch(spec["url"], tmp_path / "agent", checksum=spec["sha256"])
    assert (fetched.error, fetched.sha256) == ("", hashlib.sha256(module).hexdigest())


def test_envoy_downloads_it_by_what_is_printed(
    guarded: Guarded, ours: Callable[..., str], envoy: Callable[..., Envoy]
) -> None:
    printed = yaml.safe_load(ours("yaml", "envoy", f"{guarded.host}/{NAME}:v1"))
    (entry,) = printed["http_filters"]
    said = entry["typed_config"]["config"]["vm_config"]["code"]["remote"]
    uri, sha256 = said["http_uri"]["uri"], said["sha256"]
    answer = envoy(remote(uri, sha256), registry=guarded.host).get()
    assert (answer.status, answer.headers.get("x-custom-header")) == (200, "custom-value")
    ours("url", f"{guarded.host}/{uri.partition('/plugins/')[2].partition('/scu_')[0]}", "--revoke")
    assert envoy(remote(uri, sha256), registry=guarded.host).get().status != 200
    assert uri.rpartition("_")[2] not in guarded.server.process.said()


def test_replicas_over_s3(bucket: Bucket, tmp_path: Path) -> None:
    keys = {name: tmp_path / f"{name}.key" for name in ("signing", "urls")}
    for key in keys.values():
        key.write_bytes(new_key().private_pem)
    flags = ("--storage", bucket.url, "--signing-key", str(keys["signing"]))
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    one = guarding.start(tmp_path / "one", *flags, access={"urls": {"keys": [str(keys["urls"])]}})
    two = Guarded(
        sidecargo.start(tmp_path / "two", *flags, settings=tmp_path / "one" / "settings.yaml"), one.users
    )
    try:
        given = one.ask("POST", f"/plugins/{PRIVATE}@{B.digest}/urls", basic("puller"), b"").json
        for _ in range(3):
            assert one.ask("GET", given["path"]).body == two.ask("GET", given["path"]).body == PLUGIN
        assert two.ask("DELETE", f"/plugins/{PRIVATE}@{B.digest}/urls", basic("pusher")).status == 200
        assert two.ask("GET", given["path"]).status == 401
        eventually(lambda: one.ask("GET", given["path"]).status == 401)
    finally:
        one.server.stop()
        two.server.stop()


def test_without_a_key_in_s3_there_are_none(bucket: Bucket, tmp_path: Path) -> None:
    key = tmp_path / "signing.key"
    key.write_bytes(new_key().private_pem)
    guarded = guarding.start(tmp_path, "--storage", bucket.url, "--signing-key", str(key))
    try:
        for method, path in (("POST", "urls"), ("GET", "envoy.yaml")):
            answer = guarded.ask(method, f"/plugins/{PRIVATE}:v1/{path}", basic("puller"))
            assert answer.status == 404
            assert "Set access.urls.keys" in answer.error["message"]
    finally:
        guarded.server.stop()
