"""What a replica remembers of a tag may be late; it is never a reason to say that something is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.keyring import write_new
from tests.crash.story import plugin
from tests.real.seaweed import Bucket
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Registry, fresh

pytestmark = [pytest.mark.real, pytest.mark.slow]

TRIES = 5
"""What is remembered is so for a second: on a busy machine some tries come too late to show anything."""


@pytest.fixture
def two(serve: Callable[..., Sidecargo], bucket: Bucket, tmp_path: Path) -> tuple[Registry, Registry]:
    """One repository, seen by two replicas."""
    write_new(tmp_path / "signing.key")
    flags = ("--storage", bucket.url, "--signing-key", str(tmp_path / "signing.key"))
    first, second = serve(*flags), serve(*flags)
    registry = fresh(first.host)
    return registry, Registry(second.host, registry.name)


@pytest.mark.parametrize("path", ["/v2/{}/manifests/{}", "/plugins/{}:{}/plugin.wasm"])
def test_a_tag_moves_and_what_it_named_is_deleted(two: tuple[Registry, Registry], path: str) -> None:
    here, there = two
    for number in range(TRIES):
        tag, old, new = f"v{number}", plugin(f"old {number}"), plugin(f"new {number}")
        here.content(new)
        assert here.push(old, tag).status == 201
        assert there.ask("HEAD", f"{here.base}/manifests/{tag}")["docker-content-digest"] == old.digest
        assert here.put(tag, new.body).status == 201
        assert here.ask("DELETE", f"{here.base}/manifests/{old.digest}").status == 202
        assert there.get(path.format(here.name, tag)).status == 200
