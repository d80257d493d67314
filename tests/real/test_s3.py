"""Content in S3: nothing of it is on local disk, and any server goes on with what another has begun."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.keyring import write_new
from tests.real.process import environment, run, succeed
from tests.real.seaweed import Bucket
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.real.web import get

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_new(tmp_path / "signing.key")
    return tmp_path / "signing.key"


@pytest.fixture
def over_s3(serve: Callable[..., Sidecargo], bucket: Bucket, key: Path) -> Callable[[], Sidecargo]:
    """Start one more server over the same bucket."""
    return lambda: serve("--storage", bucket.url, "--signing-key", str(key))


def sidecargo(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "registry", *words]


def test_push_pull_and_check_by_two_servers(
    over_s3: Callable[[], Sidecargo], bucket: Bucket, tmp_path: Path
) -> None:
    module = require("plugin")
    first, second = over_s3(), over_s3()
    env = environment(PYTHONPATH=str(ROOT))
    succeed(*sidecargo("push", module, f"{first.host}/team/wasm:v1"), env=env)
    pulled = [get(f"{server.url}/plugins/team/wasm:v1/plugin.wasm") for server in (first, second)]
    assert [answer.body for answer in pulled] == [module.read_bytes()] * 2
    tags = get(f"{second.url}/v2/team/wasm/tags/list").body
    assert "v1" in json.loads(tags)["tags"]
    judged = succeed(*sidecargo("check", "--stored", "--storage", bucket.url), env=env)
    assert "nothing would break" in judged.out
    assert not [path for path in first.folder.rglob("*") if path.is_file() and path != first.process.log]


def test_it_wants_a_key(bucket: Bucket) -> None:
    done = run(
        *sidecargo("serve", "--port", "0", "--storage", bucket.url), env=environment(PYTHONPATH=str(ROOT))
    )
    assert done.code == 1
    assert "sidecargo keys new signing.key" in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
