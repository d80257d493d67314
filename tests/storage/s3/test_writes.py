from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from storage.driver import ObjectChanged, ObjectExists, ObjectMissing
from storage.errors import StoreFull, StoreUnavailable
from storage.s3 import writes
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.s3.errors import Unmet
from storage.s3.writes import PART
from tests.real.seaweed import Bucket
from tests.storage.s3 import faults
from tests.storage.s3.faults import Disturbance, Wire
from tests.storage.streams import collect, failing, outcome, pieces

pytestmark = pytest.mark.real

BIG = bytes(range(256)) * (PART // 128) + b"rest"


@pytest.fixture
def driver(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> S3Driver:
    return s3_driver(S3Options(bucket.name, bucket.prefix))


@pytest.fixture
def wire(driver: S3Driver) -> Wire:
    return Wire(driver)


DONE = [faults.lost, faults.after(500, "InternalError"), faults.after(503, "SlowDown")]
NOT_DONE = [faults.reset, faults.answers(500, "InternalError"), faults.answers(503, "SlowDown")]


@pytest.mark.parametrize("disturbance", DONE + NOT_DONE, ids=range(6))
async def test_a_write_whose_answer_did_not_come(
    driver: S3Driver, wire: Wire, bucket: Bucket, disturbance: Disturbance
) -> None:
    wire.disturb("PutObject", disturbance)
    await driver.create("a/created", b"mine")
    wire.disturb("PutObject", disturbance)
    await driver.replace("a/created", b"mine too", b"mine")
    assert await driver.get("a/created") == b"mine too"
    wire.disturb("DeleteObject", disturbance)
    assert await driver.delete("a/created", expected=b"mine too")
    await driver.put("a/moved", b"x")
    wire.disturb("CopyObject", disturbance)
    wire.disturb("DeleteObject", disturbance)
    assert await driver.move("a/moved", "b/moved")
    for call in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        wire.disturb(call, disturbance)
    assert await driver.put_stream("b/big", pieces(BIG)) == len(BIG)
    assert await collect(driver.read("b/big")) == BIG
    assert bucket.keys() == {"b/moved": 1, "b/big": len(BIG)}


async def test_a_removal_whose_answer_did_not_come_by_a_store_that_says_404(
    driver: S3Driver, wire: Wire
) -> None:
    gone = faults.answers(404, "NoSuchKey")
    await driver.put("a/b", b"x")
    wire.disturb("DeleteObject", faults.lost, gone)
    assert await driver.delete("a/b"), "it was there"
    wire.disturb("DeleteObject", gone)
    assert not await driver.delete("a/b")


async def test_somebody_else_was_faster_than_the_second_try(
    driver: S3Driver, wire: Wire, bucket: Bucket
) -> None:
    def theirs() -> None:
        key = f"{bucket.prefix}a/b"
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"theirs")

    wire.disturb("PutObject", faults.reset, faults.between(theirs))
    assert await outcome(driver.create("a/b", b"mine")) is ObjectExists
    await driver.put("a/b", b"old")
    wire.disturb("PutObject", faults.reset, faults.between(theirs))
    assert await outcome(driver.replace("a/b", b"mine", b"old")) is ObjectChanged
    assert await driver.get("a/b") == b"theirs"


async def test_the_same_bytes_by_somebody_else_are_not_mine(
    driver: S3Driver, wire: Wire, bucket: Bucket
) -> None:
    def theirs() -> None:
        bucket.client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}a/b", Body=b"same")

    wire.disturb("PutObject", faults.reset, faults.between(theirs))
    assert await outcome(driver.create("a/b", b"same")) is ObjectExists


async def test_a_store_that_is_at_the_object_for_somebody_else(driver: S3Driver, wire: Wire) -> None:
    busy = faults.answers(409, "ConditionalRequestConflict")
    wire.disturb("PutObject", busy, busy)
    await driver.create("a/b", b"x")
    assert await driver.get("a/b") == b"x"


@pytest.mark.parametrize(
    ("disturbance", "tries"),
    [
        (faults.answers(503, "SlowDown"), 4),
        (faults.answers(500, "InternalError"), 4),
        (faults.answers(403, "AccessDenied"), 1),
    ],
    ids=["slow down", "internal error", "denied"],
)
async def test_what_lasts_is_told(driver: S3Driver, wire: Wire, disturbance: Disturbance, tries: int) -> None:
    for call in (driver.put("a/b", b"x"), driver.create("a/b", b"x"), driver.put_stream("a/b", pieces(b"x"))):
        wire.forget()
        wire.disturb("PutObject", *[disturbance] * tries)
        with pytest.raises(StoreUnavailable) as raised:
            await call
        assert len(wire.calls) == tries
        assert raised.value.fix
        assert "SECRET" not in str(raised.value)
    assert await outcome(driver.get("a/b")) is ObjectMissing


# Parts


@pytest.mark.parametrize(
    "size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1], ids=lambda size: f"{size} bytes"
)
async def test_a_stream_of_any_size(driver: S3Driver, bucket: Bucket, size: int) -> None:
    data = BIG[:size].ljust(size, b"+")
    step = 1_000_003
    assert (
        await driver.put_stream("a/b", pieces(*(data[at : at + step] for at in range(0, size, step)))) == size
    )
    assert await collect(driver.read("a/b")) == data
    assert bucket.multiparts() == []


async def test_parts_are_equal_but_the_last(driver: S3Driver, wire: Wire) -> None:
    sizes: list[int] = []

    def note(request: object) -> None:
        sizes.append(int(request.headers["Content-Length"]))  # type: ignore[attr-defined]

    wire.disturb("UploadPart", *[note] * 3)
    await driver.put_stream("a/b", pieces(*[b"x" * 999_999] * 20))
    assert sizes == [PART, PART, 20 * 999_999 - 2 * PART]


async def test_a_long_stream_that_fails_leaves_nothing(driver: S3Driver, bucket: Bucket) -> None:
    with pytest.raises(KeyError):
        await driver.put_stream("a/b", failing(KeyError("x"), BIG, b"y"))
    assert (bucket.keys(), bucket.multiparts()) == ({}, [])


async def test_a_long_stream_that_is_cancelled_leaves_nothing(driver: S3Driver, bucket: Bucket) -> None:
    reached = asyncio.Event()

    async def source() -> object:
        yield BIG
        reached.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(driver.put_stream("a/b", source()))  # type: ignore[arg-type]
    await reached.wait()
    assert bucket.multiparts() == ["a/b"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bucket.keys(), bucket.multiparts()) == ({}, [])


async def test_a_part_that_is_under_way_when_it_is_cancelled_leaves_nothing(
    driver: S3Driver, wire: Wire, bucket: Bucket
) -> None:
    def done(**_: object) -> None:
        wire.calls.append("done")

    driver.client.boto.meta.events.register("after-call.s3.UploadPart", done)
    wire.disturb("UploadPart", faults.between(lambda: time.sleep(0.3)))
    task = asyncio.create_task(driver.put_stream("a/b", pieces(BIG)))
    async with asyncio.timeout(10):
        while "UploadPart" not in wire.calls:  # noqa: ASYNC110 - it is seen from a thread
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.calls[-2:] == ["done", "AbortMultipartUpload"], "S3 keeps a part that comes after the abort"
    assert (bucket.keys(), bucket.multiparts()) == ({}, [])


async def test_a_multipart_upload_that_others_remove(driver: S3Driver, wire: Wire, bucket: Bucket) -> None:
    def remove() -> None:
        for found in bucket.client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]:
            bucket.client.abort_multipart_upload(
                Bucket=bucket.name, Key=found["Key"], UploadId=found["UploadId"]
            )

    wire.disturb("CompleteMultipartUpload", faults.between(remove))
    with pytest.raises(StoreUnavailable, match="somebody else has ended an upload"):
        await driver.put_stream("a/b", pieces(BIG))
    assert bucket.keys() == {}


async def test_no_more_parts_than_s3_takes(driver: S3Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "MOST_PARTS", 1)
    with pytest.raises(StoreFull, match="at most"):
        await driver.put_stream("a/b", pieces(BIG))


# Copies


async def test_a_large_copy_is_made_of_parts(
    driver: S3Driver, wire: Wire, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "COPIED_AT_ONCE", PART)
    await driver.put_stream("a/b", pieces(BIG))
    wire.forget()
    assert await driver.move("a/b", "t/b")
    assert wire.calls.count("UploadPartCopy") == 3
    assert await collect(driver.read("t/b")) == BIG
    assert (list(bucket.keys()), bucket.multiparts()) == (["t/b"], [])


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in parts"])
async def test_only_what_is_meant_is_copied(
    driver: S3Driver, bucket: Bucket, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(writes, "COPIED_AT_ONCE", 1)
    await driver.put("a/b", b"new")
    with pytest.raises(Unmet):
        await writes.copy(driver.client, "a/b", "t/b", size=3, etag='"another"')
    with pytest.raises(ObjectMissing):
        await writes.copy(driver.client, "a/none", "t/b", size=3, etag='"another"')
    assert (bucket.keys(), bucket.multiparts()) == ({"a/b": 3}, [])
