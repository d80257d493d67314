"""Every object of a store is cut short, one after another: what is answered is whole, or it is a 503."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from storage import manifest as manifests
from storage.disk import DiskDriver
from tests.crash import story
from tests.crash.served import Reply, hashed, serve
from tests.crash.story import REPOSITORIES, STORY
from tests.storage.conftest import objects

pytestmark = pytest.mark.slow

KEPT = ("blobs/", "repositories/", "catalog/")
"""Where content is; of the rest of a store none is answered."""


async def contents(root: Path) -> AsyncIterator[str]:
    """The path of everything that a store has: by tag and by digest, what it names, and the modules."""
    store = story.opened(root)
    for name in REPOSITORIES:
        repository = store.repository(name)
        for tag in (await repository.tags.page()).names:
            yield f"/v2/{name}/manifests/{tag}"
            yield f"/plugins/{name}:{tag}/plugin.wasm"
        async for digest in repository.digests():
            yield f"/v2/{name}/manifests/{digest}"
            stored = await repository.get(digest)
            for blob in manifests.parse(stored.body, stored.descriptor.media_type).blobs():
                yield f"/v2/{name}/blobs/{blob.digest}"
    yield f"/v2/{story.A}/blobs/{story.sha256(story.LARGE)}"


@pytest.mark.parametrize(
    "left",
    [lambda size: 0, lambda size: size // 2, lambda size: size - 1],
    ids=["nothing", "half", "all but one"],
)
async def test_no_answer_is_cut_short(
    in_memory: Path, monkeypatch: pytest.MonkeyPatch, left: Callable[[int], int]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    served = await serve(in_memory)
    for step in STORY:
        assert (await step.do(served)).ok, step
    whole: dict[str, Reply] = {}
    async for path in contents(in_memory):
        reply = await served.ask("GET", path)
        if reply.status != 404:  # a module of what is no plugin
            assert reply.ok and is_what_it_says(reply), path
            whole[path] = reply
    missed = 0
    for key, data in sorted(objects(DiskDriver(in_memory)).items()):
        if not key.startswith(KEPT) or not data:
            continue
        (in_memory / key).write_bytes(data[: left(len(data))])
        served = await serve(in_memory)  # one that remembers nothing
        for path, before in whole.items():
            reply = await served.ask("GET", path)
            if reply.ok:
                assert (reply.body, reply.fields["etag"]) == (before.body, before.fields["etag"]), (key, path)
            else:
                missed += 1
                assert reply.status == 503 or not reply.whole, (key, path, reply)
        await served.settle()
        (in_memory / key).write_bytes(data)
    assert missed > len(REPOSITORIES)
    served = await serve(in_memory)
    for path, before in whole.items():
        assert (await served.ask("GET", path)).body == before.body


def is_what_it_says(reply: Reply) -> bool:
    """Whether a body hashes to the digest that its answer tells."""
    return hashed(reply.body, reply.fields["etag"].strip('"'))
