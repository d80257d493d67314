from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from registry import storages
from registry.settings import Settings
from storage import paths
from storage.disk import DiskDriver
from storage.errors import FormatUnknown, StoreUnavailable
from tests.real.process import free_port
from tests.real.seaweed import Bucket


def settings(url: str, **s3: Any) -> Settings:
    return Settings.model_validate({"storage": {"url": url, "s3": s3}})


async def test_a_folder(tmp_path: Path) -> None:
    said = settings(str(tmp_path / "data"))
    assert await storages.prepared(said) == tmp_path / "data"
    assert (tmp_path / "data" / "blobs" / "sha256" / "ff").is_dir()
    place = storages.opened(said)
    assert isinstance(place.driver, DiskDriver)
    assert place.locates is None
    assert (place.peek, place.folder, place.temp) == (
        place.driver,
        tmp_path / "data",
        tmp_path / "data" / "temp",
    )
    assert place.peek.peek(paths.FORMAT) == await place.driver.get(paths.FORMAT)
    await place.close()


def test_a_folder_where_nothing_is(tmp_path: Path) -> None:
    async def look() -> None:
        async with storages.existing(settings(str(tmp_path / "none"))):
            pass

    with pytest.raises(StoreUnavailable, match="is no storage of a registry") as raised:
        asyncio.run(look())
    assert raised.value.fix == "Name what is served: --storage DIR or s3://BUCKET/PREFIX."
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_of_a_newer_release(tmp_path: Path) -> None:
    (tmp_path / paths.FORMAT).write_text('{"format":1000}')
    with pytest.raises(FormatUnknown):
        async with storages.existing(settings(str(tmp_path))):
            pass


async def test_a_folder_of_the_release_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / paths.FORMAT).write_text('{"format":1}')
    await storages.prepared(settings(str(tmp_path)))
    assert (tmp_path / paths.FORMAT).read_text() == '{"format":1}'
    (said,) = caplog.messages
    assert said.startswith("the store has content of format 1 and is served so")
    assert said.endswith("run sidecargo migrate")


@pytest.mark.real
async def test_a_bucket(bucket: Bucket) -> None:
    said = settings(bucket.url)
    assert await storages.prepared(said) is None
    assert list(bucket.keys()) == [paths.FORMAT], "what was tried out is gone"
    async with storages.existing(said) as place:
        assert place.folder is None
        assert place.temp.is_dir()
        await place.driver.put("a/b", b"x")
        assert "a/b" in bucket.keys()  # noqa: SIM118 - a method, not a dictionary's
    assert not place.temp.exists()


@pytest.mark.real
async def test_a_bucket_where_nothing_is(bucket: Bucket) -> None:
    with pytest.raises(StoreUnavailable, match=r"s3://.* is no storage of a registry"):
        async with storages.existing(settings(bucket.url)):
            pass
    assert bucket.keys() == {}


async def test_a_bucket_that_nothing_answers_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreUnavailable, match="nothing answers at the endpoint of s3://bucket/prefix"):
        await storages.prepared(settings("s3://bucket/prefix"))


@pytest.mark.parametrize("redirect", ["none", "presigned"])
async def test_who_is_to_be_sent_to_the_bucket(redirect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    place = storages.opened(
        Settings.model_validate({"storage": {"url": "s3://bucket/a", "redirect": redirect}})
    )
    try:
        if redirect == "none":
            assert place.locates is None
        else:
            assert place.locates is not None
            assert "/a/blobs/b?" in await place.locates.locate("blobs/b")
    finally:
        await place.close()


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/a", "bucket", "a/"),
        ("s3://bucket/a/b/", "bucket", "a/b/"),
    ],
)
def test_what_s3_is_told(url: str, bucket: str, prefix: str) -> None:
    said = {"encryption": "aws:kms", "kms_key": "k", "storage_class": "STANDARD_IA", "path_style": True}
    found = storages._options(settings(url, **said))
    assert (found.bucket, found.prefix) == (bucket, prefix)
    assert {name: getattr(found, name) for name in said} == said
