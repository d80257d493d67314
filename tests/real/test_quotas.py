"""Quotas as clients meet them: told why at once, and exact across the processes of a server."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.real import images
from tests.real.dockerd import Docker
from tests.real.process import Finished, environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import get, request
from tests.registry.talk import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

SETTINGS = (
    'limits: {quota: [{repositories: "small/**", bytes: 30KiB}, {repositories: "many/**", bytes: 54321}]}'
)
WHY = "the quota of small/** is 30 KiB and "


@pytest.fixture
def server(serve: Callable[..., Sidecargo], tmp_path: Path) -> Sidecargo:
    """A server of two processes with quotas."""
    settings = tmp_path / "sidecargo.yaml"
    settings.write_text(SETTINGS)
    return serve("--workers", "2", settings=settings)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A module that is larger than the quota, however it is compressed."""
    path = tmp_path / "plugin.wasm"
    noise = random.Random(1).randbytes(100_000)
    path.write_bytes(require("plugin").read_bytes() + b"\0" + b"\xa2\x8d\x06" + b"\x01x" + noise)
    return path


def told(done: Finished) -> None:
    assert done.code != 0, done.said
    assert WHY in done.said, done.said


def test_docker_shows_why(server: Sidecargo, docker: Docker, plugin: Path) -> None:
    (plugin.parent / "Dockerfile").write_text("FROM scratch\nCOPY plugin.wasm ./plugin.wasm\n")
    image = f"{server.host}/small/docker:v1"
    docker.succeed("build", "-t", image, plugin.parent)
    told(docker("push", image, seconds=30))


def test_crane_and_skopeo_show_why(server: Sidecargo, plugin: Path, tmp_path: Path) -> None:
    images.layout(tmp_path / "layout", images.layer("plugin.wasm", plugin.read_bytes()))
    told(run(require("crane"), "push", tmp_path / "layout", f"{server.host}/small/crane:v1", seconds=30))
    image = f"docker://{server.host}/small/skopeo:v1"
    copy = ("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v1", image)
    told(run(require("skopeo"), "--insecure-policy", *copy, seconds=30))


def test_oras_shows_why(server: Sidecargo, plugin: Path) -> None:
    folder = plugin.parent
    env = environment(HOME=str(folder), DOCKER_CONFIG=str(folder / "docker"))
    words = ("push", "--plain-http", f"{server.host}/small/oras:v1", "plugin.wasm")
    told(run(require("oras"), *words, env=env, folder=folder, seconds=30))


def test_of_twelve_pushes_to_two_processes_exactly_five_fit(server: Sidecargo) -> None:
    blobs = [random.Random(number).randbytes(10_000) for number in range(12)]

    def push(number: int) -> int:
        digest = f"sha256:{hashlib.sha256(blobs[number]).hexdigest()}"
        url = f"{server.url}/v2/many/r{number % 3}/blobs/uploads/?digest={digest}"
        return request("POST", url, body=blobs[number]).status

    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(push, range(12)))
    assert statuses == {201: 5, 403: 7}

    refused = request(
        "POST", f"{server.url}/v2/many/r0/blobs/uploads/?digest=sha256:{'0' * 64}", body=b"x" * 9999
    )
    (error,) = json.loads(refused.body)["errors"]
    assert error["code"] == "DENIED"
    assert error["detail"] == {"repositories": "many/**", "allowed": 54_321, "used": 50_000, "size": 9999}


def test_what_is_used_is_shown(server: Sidecargo) -> None:
    def shows(line: str) -> bool:
        return line in get(f"{server.url}/metrics").body.decode()

    for line in (
        'sidecargo_quota_allowed_bytes{repositories="small/**"} 30720.0',
        'sidecargo_quota_used_bytes{repositories="many/**"} 0.0',
    ):
        eventually(partial(shows, line))
