"""A real Envoy loads what the registry serves by plain URL, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real import images
from tests.real.envoy import Envoy, remote
from tests.real.process import succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import get, request

pytestmark = [pytest.mark.real, pytest.mark.slow]

Start = Callable[..., Envoy]


@pytest.fixture(scope="module")
def module() -> bytes:
    return require("plugin").read_bytes()


@pytest.fixture(scope="module")
def digest(sidecargo: Sidecargo, module: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest's digest of team/header:v1, pushed by crane."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    digest = images.layout(folder, images.layer("plugin.wasm", module))
    succeed(require("crane"), "push", folder, f"{sidecargo.host}/team/header:v1")
    return digest


@pytest.mark.parametrize("reference", [":v1", "@{digest}"], ids=["by-tag", "by-digest"])
def test_envoy_fetches_the_module_itself(
    sidecargo: Sidecargo, envoy: Start, module: bytes, digest: str, reference: str
) -> None:
    url = f"{sidecargo.url}/plugins/team/header{reference.format(digest=digest)}/plugin.wasm"
    running = envoy(remote(url, hashlib.sha256(module).hexdigest()), registry=sidecargo.host)
    answer = running.get()
    assert (answer.status, answer.headers.get("x-custom-header")) == (200, "custom-value")


def test_envoy_does_not_take_a_module_of_another_hash(
    sidecargo: Sidecargo, envoy: Start, digest: str
) -> None:
    url = f"{sidecargo.url}/plugins/team/header@{digest}/plugin.wasm"
    running = envoy(remote(url, "0" * 64), registry=sidecargo.host)
    assert running.get().status != 200


def test_the_raw_module_is_served_as_http_caches_expect(
    sidecargo: Sidecargo, module: bytes, digest: str
) -> None:
    url = f"{sidecargo.url}/plugins/team/header@{digest}/plugin.wasm"
    whole = get(url)
    assert (whole.status, whole.body) == (200, module)
    assert whole.headers["Content-Length"] == str(len(module))
    part = get(url, {"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"\0asm")
    again = get(url, {"If-None-Match": whole.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    head = request("HEAD", url)
    assert (head.status, head.headers["ETag"]) == (200, whole.headers["ETag"])


def test_a_moved_tag_gives_the_new_module(
    sidecargo: Sidecargo, module: bytes, digest: str, tmp_path: Path
) -> None:
    url = f"{sidecargo.url}/plugins/team/moves:v1/plugin.wasm"
    crane, image = require("crane"), f"{sidecargo.host}/team/moves:v1"
    succeed(crane, "copy", f"{sidecargo.host}/team/header@{digest}", image)
    assert get(url).body == module
    changed = module + b"\x00\x05\x04more"  # a custom section of no content
    images.layout(tmp_path / "other", images.layer("plugin.wasm", changed))
    succeed(crane, "push", tmp_path / "other", image)
    assert get(url).body == changed
