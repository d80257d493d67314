from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from storage.driver import ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreUnavailable
from storage.s3 import form, staging
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.s3.writes import PART
from tests.real.seaweed import Bucket
from tests.storage.s3 import faults
from tests.storage.s3.faults import Wire
from tests.storage.streams import collect, failing, outcome, pieces, together

pytestmark = pytest.mark.real

DATA = bytes(range(251)) * (3 * PART // 251 + 1)


@pytest.fixture
def open_one(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> Callable[[], S3Driver]:
    return lambda: s3_driver(S3Options(bucket.name, bucket.prefix))


@pytest.fixture
def driver(open_one: Callable[[], S3Driver]) -> S3Driver:
    return open_one()


@pytest.fixture
def other(open_one: Callable[[], S3Driver]) -> S3Driver:
    return open_one()


def cut(data: bytes, step: int = 1 << 20) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


@pytest.mark.parametrize(
    "ends",
    [
        [PART],
        [PART + 1],
        [2 * PART],
        [3 * PART],
        [5, PART, PART + 1, 2 * PART - 1, 2 * PART],
        [PART, 2 * PART, 2 * PART + 7],
        [2 * PART + 3, 2 * PART + 3, 3 * PART],
    ],
    ids=str,
)
async def test_an_upload_of_any_size_by_turns(
    driver: S3Driver, other: S3Driver, bucket: Bucket, ends: list[int]
) -> None:
    await driver.stage("u/1")
    start = 0
    for turn, end in enumerate(ends):
        one, next_one = (driver, other) if turn % 2 else (other, driver)
        assert await one.extend("u/1", start, pieces(*cut(DATA[start:end]))) == end
        assert (await next_one.staged("u/1"), (await next_one.stat("u/1")).size) == (end, end)
        start = end
    await other.publish("u/1", "b/x", start)
    assert await collect(driver.read("b/x")) == DATA[:start]
    assert (bucket.keys(), bucket.multiparts()) == ({"b/x": start, "u/1": 0}, [])


async def test_what_was_read_again_goes_on(driver: S3Driver, other: S3Driver, bucket: Bucket) -> None:
    await driver.stage("u/1")
    end = 2 * PART + 9
    await driver.extend("u/1", 0, pieces(*cut(DATA[:end])))
    assert await collect(other.read_staged("u/1")) == DATA[:end]
    assert await collect(driver.read_staged("u/1")) == DATA[:end]
    assert await driver.extend("u/1", end, pieces(DATA[end : end + 5])) == end + 5
    assert await other.extend("u/1", end + 5, pieces(DATA[end + 5 : 3 * PART])) == 3 * PART
    await other.publish("u/1", "b/x", 3 * PART)
    assert await collect(driver.read("b/x")) == DATA[: 3 * PART]
    assert (bucket.keys(), bucket.multiparts()) == ({"b/x": 3 * PART, "u/1": 0}, [])


async def test_a_long_body_that_breaks_off_counts(driver: S3Driver, other: S3Driver) -> None:
    await driver.stage("u/1")
    came = cut(DATA[: PART + 100])
    with pytest.raises(ConnectionResetError):
        await driver.extend("u/1", 0, failing(ConnectionResetError(), *came))
    assert await other.staged("u/1") == PART + 100
    await other.extend("u/1", PART + 100, pieces(*cut(DATA[PART + 100 : 2 * PART])))
    await driver.publish("u/1", "b/x", 2 * PART)
    assert await collect(driver.read("b/x")) == DATA[: 2 * PART]


async def test_one_of_two_long_bodies_counts(driver: S3Driver, other: S3Driver, bucket: Bucket) -> None:
    await driver.stage("u/1")
    bodies = [cut(b"%d" % at * (PART + 9)) for at in range(2)]
    found = await together(
        lambda: driver.extend("u/1", 0, pieces(*bodies[0])),
        lambda: other.extend("u/1", 0, pieces(*bodies[1])),
    )
    assert found.count(PART + 9) == 1
    assert set(found) <= {PART + 9, StageBusy, StageMoved}
    winner = found.index(PART + 9)
    assert await collect(driver.read_staged("u/1")) == b"".join(bodies[winner])
    await other.discard("u/1")
    assert (bucket.keys(), bucket.multiparts()) == ({"u/1": 0}, [])


async def test_a_writer_that_died_keeps_nobody_out(
    driver: S3Driver, other: S3Driver, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(b"kept"))
    stage = await form.look(driver.client, "u/1")
    dead = form.Staged(rest=b"kept")
    await form.write_record(driver.client, "u/1", stage, dead, upload="", by="w", busy=True)
    for mine in (driver, other):
        assert await outcome(mine.extend("u/1", 4, pieces(b"x"))) is StageBusy
        assert await outcome(mine.publish("u/1", "b/x", 4)) is StageBusy
        assert await outcome(mine.read_staged("u/1").__anext__()) is StageBusy  # type: ignore[attr-defined]
    monkeypatch.setattr(form, "LEASE_SECONDS", 1.0)
    await asyncio.sleep(2.1)  # the store's clock counts seconds
    assert await other.extend("u/1", 4, pieces(b" on")) == 7
    await driver.publish("u/1", "b/x", 7)
    assert await driver.get("b/x") == b"kept on"
    assert bucket.keys() == {"b/x": 7, "u/1": 0}


async def test_a_stage_left_as_a_record_is_published(
    driver: S3Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "LEASE_SECONDS", -1.0)
    await driver.stage("u/1")
    stage = await form.look(driver.client, "u/1")
    left = form.Staged(rest=b"left")
    await form.write_record(driver.client, "u/1", stage, left, upload="", by="w", busy=True)
    assert await driver.staged("u/1") == 4
    await driver.publish("u/1", "b/x", 4)
    assert await driver.get("b/x") == b"left"


async def test_discarding_under_a_long_body_leaves_nothing(
    driver: S3Driver, other: S3Driver, bucket: Bucket
) -> None:
    await driver.stage("u/1")
    reached, go = asyncio.Event(), asyncio.Event()

    async def source() -> object:
        for piece in cut(DATA[: PART + 1]):
            yield piece
        reached.set()
        await go.wait()
        yield b"more"

    writer = asyncio.create_task(outcome(driver.extend("u/1", 0, source())))  # type: ignore[arg-type]
    await reached.wait()
    assert await other.discard("u/1")
    go.set()
    assert await writer is ObjectMissing
    assert (bucket.keys(), bucket.multiparts()) == ({"u/1": 0}, [])


async def test_discarding_a_long_upload_leaves_nothing(driver: S3Driver, bucket: Bucket) -> None:
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(*cut(DATA[: PART + 1])))
    wire = Wire(driver)
    assert await driver.discard("u/1")
    assert wire.calls == ["HeadObject", "PutObject", "AbortMultipartUpload"]
    assert (bucket.keys(), bucket.multiparts()) == ({"u/1": 0}, [])


async def test_sweep_leaves_the_parts_of_uploads_under_way(driver: S3Driver, other: S3Driver) -> None:
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(*cut(DATA[: PART + 1])))
    await other.sweep(time.time() + 3600)
    await other.publish("u/1", "b/x", PART + 1)
    assert await collect(driver.read("b/x")) == DATA[: PART + 1]


async def test_sweep_follows_the_pages_of_a_listing(
    driver: S3Driver, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(5):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}a/{at}")
    call = driver.client.boto.list_multipart_uploads
    monkeypatch.setattr(
        driver.client.boto, "list_multipart_uploads", lambda **said: call(**said, MaxUploads=2)
    )
    wire = Wire(driver)
    await driver.sweep(time.time() + 3600)
    assert wire.calls.count("ListMultipartUploads") > 1
    # SeaweedFS lists them in no order, so that a page may skip some: they go the next time.
    for _ in range(3):
        await driver.sweep(time.time() + 3600)
    assert bucket.multiparts() == []


async def test_parts_that_others_removed_end_the_upload(driver: S3Driver, bucket: Bucket) -> None:
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(*cut(DATA[: PART + 1])))
    for found in bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)["Uploads"]:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=found["Key"], UploadId=found["UploadId"])
    with pytest.raises(StoreUnavailable, match="not in the store any more"):
        await driver.publish("u/1", "b/x", PART + 1)
    assert await driver.discard("u/1")


DISTURBANCES = [
    faults.lost,
    faults.after(500, "InternalError"),
    faults.reset,
    faults.answers(503, "SlowDown"),
]


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=["lost", "done and 500", "reset", "slow down"])
@pytest.mark.parametrize("end", [7, PART + 7], ids=["short", "long"])
async def test_every_call_of_an_upload_may_fail_once(
    driver: S3Driver, bucket: Bucket, end: int, disturbance: faults.Disturbance
) -> None:
    wire = Wire(driver)
    for call in (
        "PutObject", "PutObject", "PutObject", "GetObject", "CreateMultipartUpload", "UploadPart",
        "UploadPart", "CompleteMultipartUpload", "CopyObject", "HeadObject",
    ):  # fmt: skip
        wire.disturb(call, disturbance, lambda _: None)
    await driver.stage("u/1")
    await driver.extend("u/1", 0, pieces(*cut(DATA[: end - 2])))
    await driver.extend("u/1", end - 2, pieces(DATA[end - 2 : end]))
    await driver.publish("u/1", "b/x", end)
    assert await collect(driver.read("b/x")) == DATA[:end]
    await driver.sweep(time.time() + 3600)  # an answer that was lost may have begun another one
    assert (bucket.keys(), bucket.multiparts()) == ({"b/x": end, "u/1": 0}, [])


async def test_what_is_remembered_is_bounded(driver: S3Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_REMEMBERED", 2)
    for at in range(4):
        await driver.stage(f"u/{at}")
    assert len(driver._staging._seen) == 2
    assert await driver.extend("u/0", 0, pieces(b"x")) == 1


async def test_what_is_remembered_wrongly_is_seen(driver: S3Driver, other: S3Driver) -> None:
    await driver.stage("u/1")
    await driver.stage("u/2")
    await other.extend("u/1", 0, pieces(b"theirs"))
    assert await outcome(driver.extend("u/1", 0, pieces(b"mine"))) is StageMoved
    assert await outcome(driver.publish("u/1", "b/x", 0)) is StageMoved
    await driver.publish("u/1", "b/x", 6)
    await other.discard("u/2")
    assert await outcome(driver.extend("u/2", 0, pieces(b"mine"))) is ObjectMissing
    assert await outcome(driver.publish("u/2", "b/y", 0)) is ObjectMissing
