"""`sidecargo gc` over a real S3 store: what would go, what goes, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from registry.cli.main import run
from storage.digest import Digest
from storage.errors import ManifestUnknown
from storage.repositories import Repository
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.store import Store
from tests.real.seaweed import Bucket
from tests.storage.content import image, put
from tests.storage.gc.scene import filled, in_days
from tests.storage.streams import outcome

pytestmark = [pytest.mark.real, pytest.mark.slow]

RULE = "retention: [{repositories: 'team/*', keep: {days: 1, tags: ['v*']}}]\n"


@asynccontextmanager
async def repository(bucket: Bucket) -> AsyncIterator[Repository]:
    driver = S3Driver(S3Options(bucket.name, bucket.prefix))
    store = Store(driver, upload_limit=1 << 20)
    await store.open()
    yield store.repository("team/wasm")
    driver.close()


def test_the_command(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"storage: {{url: '{bucket.url}'}}\n{RULE}")

    async def fill() -> None:
        async with repository(bucket) as here:
            await filled(here, b"one", b"two", b"stray")
            await put(here, image(b"one"), "ci-1")
            await put(here, image(b"two"), "v1")

    async def pulled(tag: str) -> object:
        async with repository(bucket) as here:
            stored = await outcome(here.get(tag))
            if not isinstance(stored, type):
                await here.blobs.open(Digest.of(b"one" if tag == "ci-1" else b"two"))
            return stored

    def gc(*words: str) -> str:
        capsys.readouterr()
        assert run(["gc", "--config", str(settings), *words]) == 0
        return capsys.readouterr().out

    asyncio.run(fill())
    in_days(monkeypatch, 3)
    before = bucket.keys()
    said = gc("--dry-run")
    assert "tag       team/wasm:ci-1\n" in said
    assert f"unused    team/wasm@{Digest.of(b'stray')}\n" in said
    assert f"bytes     {Digest.of(b'one')}  3 bytes\n" in said
    assert bucket.keys() == before
    done = json.loads(gc("--json"))
    assert (done["tags"], done["manifests"], done["links"], done["contents"]) == (1, 1, 2, 0)
    assert asyncio.run(pulled("ci-1")) is ManifestUnknown
    in_days(monkeypatch, 6)
    done = json.loads(gc("--json"))
    assert (done["contents"], done["content_bytes"]) == (2, len(b"one") + len(b"stray"))
    assert gc("--restore", "team/wasm:ci-1").splitlines() == [
        f"manifest  team/wasm@{Digest.of(image(b'one'))}",
        "tag       team/wasm:ci-1",
    ]
    for tag in ("ci-1", "v1"):
        assert not isinstance(asyncio.run(pulled(tag)), type)
    in_days(monkeypatch, 40)
    assert "purged from the trash after 14 days" in gc()
