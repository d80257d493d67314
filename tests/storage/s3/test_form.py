from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from storage.driver import ObjectMissing
from storage.errors import StoreUnavailable
from storage.s3 import form
from storage.s3.client import S3Client, S3Options
from storage.s3.driver import S3Driver
from storage.s3.errors import Unmet
from storage.s3.form import LEASE_SECONDS, NEW, Stage, Staged
from storage.s3.writes import PART
from tests.real.seaweed import Bucket

pytestmark = pytest.mark.real


@pytest.fixture
def client(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> S3Client:
    return s3_driver(S3Options(bucket.name, bucket.prefix)).client


async def test_plain(client: S3Client) -> None:
    assert await form.look(client, "u/1") == NEW
    begun = await form.write_plain(client, "u/1", NEW, b"one")
    with pytest.raises(Unmet):
        await form.write_plain(client, "u/1", NEW, b"another")
    grown = await form.write_plain(client, "u/1", begun, b"three")
    assert await form.look(client, "u/1") == grown == Stage(grown.etag, 5)
    assert await form.load(client, "u/1", grown) == Staged(rest=b"three")
    with pytest.raises(Unmet):
        await form.write_plain(client, "u/1", begun, b"again")
    with pytest.raises(Unmet):
        await form.load(client, "u/1", Stage(begun.etag, 5))


async def test_record(client: S3Client) -> None:
    staged = Staged(("etag-1", "etag-2"), b'{"looks":"like a line"}\n\n')
    record = await form.write_record(client, "u/1", NEW, staged, upload="id", by="w", busy=False)
    assert record.size == staged.size == 2 * PART + len(staged.rest)
    assert await form.look(client, "u/1") == record
    assert (record.plain, record.upload, record.busy) == (False, "id", False)
    assert await form.load(client, "u/1", record) == staged
    assert await form.names_upload(client, "u/1", "id")
    assert not await form.names_upload(client, "u/1", "another")
    assert not await form.names_upload(client, "u/none", "id")


async def test_two_records_are_never_the_same(client: S3Client) -> None:
    first = await form.write_record(client, "u/1", NEW, Staged(), upload="", by="w", busy=True)
    second = await form.write_record(client, "u/1", first, Staged(), upload="", by="w", busy=True)
    assert first.etag != second.etag
    with pytest.raises(Unmet):
        await form.write_record(client, "u/1", first, Staged(), upload="", by="w", busy=True)


async def test_a_writer_is_seen(client: S3Client) -> None:
    claimed = await form.write_record(client, "u/1", NEW, Staged(), upload="", by="w", busy=True)
    assert claimed.busy
    assert (await form.look(client, "u/1")).busy


@pytest.mark.parametrize("begun", [False, True])
async def test_ended(client: S3Client, begun: bool) -> None:
    stage = await form.write_plain(client, "u/1", NEW, b"one") if begun else NEW
    if begun:
        with pytest.raises(Unmet):
            await form.end(client, "u/1", NEW)
    await form.end(client, "u/1", stage)
    with pytest.raises(ObjectMissing):
        await form.look(client, "u/1")
    for before in (stage, NEW):
        with pytest.raises(Unmet):
            await form.write_plain(client, "u/1", before, b"more")


async def test_ended_however_it_stands(client: S3Client) -> None:
    await form.write_record(client, "u/1", NEW, Staged(), upload="", by="w", busy=True)
    await form.end_surely(client, "u/1")
    with pytest.raises(ObjectMissing):
        await form.look(client, "u/1")


@pytest.mark.parametrize("data", [b"no json\n", b'{"write": 1}\n', b"[]\n", b""], ids=repr)
async def test_a_damaged_record(client: S3Client, bucket: Bucket, data: bytes) -> None:
    bucket.client.put_object(
        Bucket=bucket.name, Key=f"{bucket.prefix}u/1", Body=data, Metadata={"sidecargo-size": "5"}
    )
    with pytest.raises(StoreUnavailable, match="damaged"):
        await form.load(client, "u/1", await form.look(client, "u/1"))


async def test_nothing_is_there(client: S3Client) -> None:
    assert await form.look(client, "u/1") == NEW
    with pytest.raises(Unmet):
        await form.load(client, "u/1", Stage('"etag"', 5))


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "busy"),
    [
        (format_datetime(NOW + timedelta(seconds=LEASE_SECONDS - 1), usegmt=True), True),
        (format_datetime(NOW + timedelta(seconds=LEASE_SECONDS), usegmt=True), False),
        ("", True),
        ("yesterday", True),
    ],
)
def test_a_writer_is_at_it_as_long_as_its_lease_by_the_clock_of_the_store(date: str, busy: bool) -> None:
    answer: Any = {
        "ETag": '"e"',
        "ContentLength": 9,
        "LastModified": NOW,
        "Metadata": {"sidecargo-size": "3", "sidecargo-writer": "w", "sidecargo-by": "b"},
        "ResponseMetadata": {"HTTPHeaders": {"date": date}},
    }
    assert form._stage(answer) == Stage('"e"', 3, plain=False, busy=busy, by="b")
