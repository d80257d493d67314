"""`Examiner`: findings on what is stored, by a record or anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry.publish import examiner as examiner_module
from registry.publish import plugins
from registry.publish.inspect import Findings
from registry.publish.plugins import Attachment, Plugin
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown
from storage.manifest import OCI_INDEX, Manifest, parse
from storage.repositories import Repository
from storage.store import Store
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer
from tests.registry.consumers.shapes import ATTESTATION, B
from tests.registry.publish.looks import examiner
from tests.registry.wasm.binary import custom
from tests.storage.content import put_blob

IMAGE = image("a plugin", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("here"))))], None)
DIGEST = Digest.parse(IMAGE.digest)
MODULE = Digest.of(PLUGIN + custom("here"))


class Reads(DiskDriver):
    """A disk driver that writes down what is read in pieces."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_keys: list[str] = []

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.read_keys.append(key)
        async for piece in super().read(key, start, end):
            yield piece


@pytest.fixture
def driver(tmp_path: Path) -> Reads:
    return Reads(tmp_path)


@pytest.fixture
def repository(driver: Reads) -> Repository:
    return Store(driver, upload_limit=1 << 30).repository("team/wasm")


async def stored(repository: Repository, shape: Shape) -> Manifest:
    for data in shape.blobs.values():
        await put_blob(repository, data)
    manifest = parse(shape.body, "")
    await repository.put(manifest, shape.body, Digest.parse(shape.digest))
    return manifest


async def known(repository: Repository, digest: Digest) -> Plugin | None:
    descriptor, _ = await repository.find(digest)
    return await examiner().plugin(repository, descriptor)


async def test_a_herd_takes_an_image_apart_once(driver: Reads, repository: Repository) -> None:
    await stored(repository, IMAGE)
    at_work = examiner()
    descriptor, _ = await repository.find(DIGEST)
    found = await asyncio.gather(*(at_work.plugin(repository, descriptor) for _ in range(20)))
    assert {plugin.module for plugin in found if plugin} == {MODULE}
    packed = Digest.parse(IMAGE.manifest["layers"][0]["digest"])
    assert driver.read_keys == [paths.blob(packed)]
    assert await at_work.plugin(repository, descriptor) == found[0]
    assert driver.read_keys == [paths.blob(packed)], "the record was not kept"


async def test_a_record_of_other_rules_counts_for_nothing(repository: Repository) -> None:
    await stored(repository, IMAGE)
    first = await known(repository, DIGEST)
    assert first is not None
    await repository.derived.keep(DIGEST, {**plugins.to_record(first), "rules": -1, "layer": "old"})
    assert await known(repository, DIGEST) == first


async def test_a_module_that_is_gone_is_taken_out_again(driver: Reads, repository: Repository) -> None:
    await stored(repository, IMAGE)
    plugin = await known(repository, DIGEST)
    assert plugin is not None
    descriptor, _ = await repository.find(DIGEST)
    await driver.delete(paths.blob(MODULE))
    at_work = examiner()
    driver.read_keys.clear()
    assert await asyncio.gather(*(at_work.has_module(repository, descriptor, plugin) for _ in range(20)))
    assert len(driver.read_keys) == 1, "a herd takes it out once"
    assert await driver.get(paths.blob(MODULE)) == PLUGIN + custom("here")
    assert await at_work.has_module(repository, descriptor, plugin)
    assert len(driver.read_keys) == 1


async def test_a_module_whose_layer_is_gone(driver: Reads, repository: Repository) -> None:
    await stored(repository, IMAGE)
    plugin = await known(repository, DIGEST)
    assert plugin is not None
    descriptor, _ = await repository.find(DIGEST)
    await driver.delete(paths.blob(MODULE))
    await repository.blobs.delete(Digest.parse(IMAGE.manifest["layers"][0]["digest"]))
    assert not await examiner().has_module(repository, descriptor, plugin)


async def test_an_attachment_is_no_plugin(repository: Repository) -> None:
    await stored(repository, ATTESTATION)
    assert await known(repository, Digest.parse(ATTESTATION.digest)) is None


async def test_what_is_not_all_here_is_no_plugin(repository: Repository) -> None:
    manifest = parse(B.body, "")
    await repository.put(manifest, B.body, Digest.parse(B.digest))
    assert await known(repository, Digest.parse(B.digest)) is None


async def test_an_index_of_attachments_is_one_where_their_records_are_of_other_rules(
    repository: Repository,
) -> None:
    attested = await stored(repository, ATTESTATION)
    child = {"mediaType": attested.media_type, "digest": ATTESTATION.digest, "size": len(ATTESTATION.body)}
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
    assert await repository.derived.find(Digest.parse(ATTESTATION.digest)) is None
    assert await examiner().examine(repository, parse(body, ""), Digest.of(body)) == Attachment()


async def test_an_index_with_an_image_of_other_rules_is_judged(repository: Repository) -> None:
    image = await stored(repository, IMAGE)
    child = {"mediaType": image.media_type, "digest": IMAGE.digest, "size": len(IMAGE.body)}
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
    assert isinstance(await examiner().examine(repository, parse(body, ""), Digest.of(body)), Plugin)


async def test_of_an_index_each_child_is_looked_at_once(driver: Reads, repository: Repository) -> None:
    """However often an index names the same attachment, and whatever that costs to read."""
    attested = await stored(repository, ATTESTATION)
    digest = Digest.parse(ATTESTATION.digest)
    await examiner_module.keep(repository, digest, await examiner().examine(repository, attested, digest))
    child = {"mediaType": attested.media_type, "digest": ATTESTATION.digest, "size": len(ATTESTATION.body)}
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] * 5000}).encode()
    asked: list[str] = []
    get = driver.get

    async def counted(key: str) -> bytes:
        asked.append(key)
        return await get(key)

    driver.get = counted  # type: ignore[method-assign]
    assert await examiner().examine(repository, parse(body, ""), Digest.of(body)) == Attachment()
    assert asked == [paths.derived(repository.name, digest)]


async def test_few_images_are_taken_apart_at_a_time(
    driver: Reads, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = await stored(repository, IMAGE)
    at_work = examiner()
    at_once = [0]
    inner = examiner_module.inspect

    async def counted(*args: Any) -> Findings:
        at_once.append(at_once[-1] + 1)
        found = await inner(*args)
        at_once.append(at_once[-1] - 1)
        return found

    monkeypatch.setattr(examiner_module, "inspect", counted)

    await asyncio.gather(*(at_work.examine(repository, manifest, DIGEST) for _ in range(20)))
    assert max(at_once) == examiner_module.AT_ONCE


async def test_what_was_uploaded_elsewhere_says_nothing_of_what_is_not_here(repository: Repository) -> None:
    """A layer's findings are for who has it: else the same push would be judged and not by turns."""
    at_work = examiner()
    packed = IMAGE.blobs[IMAGE.manifest["layers"][0]["digest"]]

    async def upload() -> AsyncIterator[bytes]:
        yield packed

    async for _ in at_work.foresight.watching(upload()):
        pass
    with pytest.raises(BlobUnknown):
        await at_work.examine(repository, parse(IMAGE.body, ""), DIGEST)
    await put_blob(repository, packed)
    assert isinstance(await at_work.examine(repository, parse(IMAGE.body, ""), DIGEST), Plugin)
