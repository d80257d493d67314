from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from storage.errors import StoreUnavailable
from storage.s3 import form
from storage.s3.client import S3Client, S3Options
from storage.s3.driver import S3Driver
from storage.s3.form import Staged
from storage.s3.writer import Lost, Writer
from storage.s3.writes import PART
from tests.real.seaweed import Bucket
from tests.storage.s3 import faults
from tests.storage.s3.faults import Wire, seen_busy
from tests.storage.streams import collect, pieces

pytestmark = pytest.mark.real


@pytest.fixture
def driver(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> S3Driver:
    return s3_driver(S3Options(bucket.name, bucket.prefix))


@pytest.fixture
def client(driver: S3Driver) -> S3Client:
    return driver.client


async def again() -> form.Stage:
    """The object stands as nobody can go on with it."""
    raise Lost


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer claims nothing for having been at it for a while."""
    monkeypatch.setattr("storage.s3.writer.NOTICE_SECONDS", 60)


async def test_a_short_body_is_one_write(driver: S3Driver) -> None:
    writer = Writer(driver.client, "u/1", form.NEW, again)
    wire = Wire(driver)
    for piece in (b"", b"one", b"two"):
        await writer.add(piece)
    stage = await writer.end()
    assert (stage.size, stage.plain, wire.calls) == (6, True, ["PutObject"])
    assert await driver.get("u/1") == b"onetwo"


async def test_nothing_added_is_nothing_written(driver: S3Driver) -> None:
    wire = Wire(driver)
    writer = Writer(driver.client, "u/1", form.NEW, again)
    await writer.add(b"")
    assert (await writer.end(), wire.calls) == (form.NEW, [])


async def test_a_slow_body_is_seen_and_what_came_before_it_stays(client: S3Client) -> None:
    before = await form.write_plain(client, "u/1", form.NEW, b"before")
    writer = Writer(client, "u/1", before, again)
    await writer.add(b" and")
    await seen_busy(client)
    claimed = await form.look(client, "u/1")
    assert claimed.size == 6
    assert (await form.load(client, "u/1", claimed)).rest == b"before"
    await writer.add(b" after")
    stage = await writer.end()
    assert (stage.plain, stage.busy, await form.look(client, "u/1")) == (True, False, stage)
    assert (await form.load(client, "u/1", stage)).rest == b"before and after"


async def test_a_writer_says_again_that_it_is_alive_and_how_far_it_came(
    client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.s3.writer.LEASE_SECONDS", 0.3)
    monkeypatch.setattr("storage.s3.writer.NOTICE_SECONDS", 0.1)
    writer = Writer(client, "u/1", form.NEW, again)
    await writer.add(b"x" * PART)
    await writer.add(b"y")
    async with asyncio.timeout(30):
        while (await form.look(client, "u/1")).size < PART:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.05)
    stage = await writer.end()
    assert (stage.size, stage.busy) == (PART + 1, False)
    await asyncio.sleep(0.5)
    assert await form.look(client, "u/1") == stage, "it says nothing any more"


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
async def test_a_writer_that_lost(client: S3Client, bucket: Bucket, long: bool) -> None:
    writer = Writer(client, "u/1", form.NEW, again)
    await writer.add(b"mine")
    theirs = await form.write_plain(client, "u/1", form.NEW, b"theirs")
    with pytest.raises(Lost):
        if long:
            await writer.add(b"x" * PART)
        await writer.end()
    assert await writer.give_up() is None
    with pytest.raises(Lost):
        await writer.add(b"more")
    assert await form.look(client, "u/1") == theirs
    assert bucket.multiparts() == []


@pytest.mark.usefixtures("unseen")
async def test_a_writer_that_loses_in_the_middle_lets_go_of_its_parts(
    client: S3Client, bucket: Bucket
) -> None:
    writer = Writer(client, "u/1", form.NEW, again)
    await writer.add(b"x" * (PART + 1))
    assert bucket.multiparts() == ["u/1"]
    stage = await form.look(client, "u/1")
    await form.write_record(client, "u/1", stage, Staged(), upload="", by="w", busy=False)
    with pytest.raises(Lost):
        await writer.end()
    assert bucket.multiparts() == []


UNTOLD = (faults.after(500, "InternalError"), *[faults.answers(500, "InternalError")] * 3)
"""It is done at the first try, and none of them says so."""


async def claimed_unheard(wire: Wire, writer: Writer, data: bytes) -> None:
    """Add what makes a writer claim, whose answers are all lost."""
    wire.disturb("PutObject", *UNTOLD)
    await writer.add(data)
    async with asyncio.timeout(30):
        while wire.calls.count("PutObject") < len(UNTOLD):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
async def test_a_claim_that_nobody_heard_of_is_the_writers_own(driver: S3Driver, long: bool) -> None:
    before = await form.write_plain(driver.client, "u/1", form.NEW, b"before")
    writer = Writer(driver.client, "u/1", before, again)
    await claimed_unheard(Wire(driver), writer, b" and")
    await seen_busy(driver.client)
    more = b"x" * PART if long else b" after"
    await writer.add(more)
    stage = await writer.end()
    assert (stage.busy, await form.look(driver.client, "u/1")) == (False, stage)
    assert await driver.extend("u/1", stage.size, pieces(b"!")) == stage.size + 1
    await driver.publish("u/1", "b/x", stage.size + 1)
    assert await collect(driver.read("b/x")) == b"before and" + more + b"!"


async def test_a_claim_of_which_it_is_not_known_for_long(driver: S3Driver) -> None:
    before = await form.write_plain(driver.client, "u/1", form.NEW, b"before")
    writer = Writer(driver.client, "u/1", before, again)
    wire = Wire(driver)
    await claimed_unheard(wire, writer, b" and")
    wire.disturb("HeadObject", *[faults.answers(500, "InternalError")] * 4)
    with pytest.raises(StoreUnavailable):
        await writer.end()
    stage = await writer.give_up()
    assert stage is not None
    assert (await form.load(driver.client, "u/1", stage)).rest == b"before and"


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("known", [True, False], ids=["known soon", "not known"])
async def test_what_was_written_at_last_though_nobody_heard_of_it_stays(
    driver: S3Driver, bucket: Bucket, known: bool
) -> None:
    """Its parts too: who takes them for those that nobody knows of loses what was acknowledged before."""
    before = await form.write_plain(driver.client, "u/1", form.NEW, b"before")
    writer = Writer(driver.client, "u/1", before, again)
    wire = Wire(driver)
    data = b"x" * (PART + 1)
    await writer.add(data)
    wire.disturb("PutObject", *UNTOLD)
    with pytest.raises(StoreUnavailable):
        await writer.end()
    if not known:
        wire.disturb("HeadObject", *[faults.answers(500, "InternalError")] * 4)
    stage = await writer.give_up()
    assert (stage is not None) is known
    assert bucket.multiparts() == ["u/1"]
    size = await driver.staged("u/1")
    assert size == len(b"before" + data)
    await driver.publish("u/1", "b/x", size)
    assert await collect(driver.read("b/x")) == b"before" + data


@pytest.mark.usefixtures("unseen")
async def test_after_a_write_that_nobody_heard_of_another_goes_on_with_its_parts(
    driver: S3Driver, bucket: Bucket
) -> None:
    writer = Writer(driver.client, "u/1", form.NEW, again)
    data = b"x" * (PART + 1)
    await writer.add(data)
    Wire(driver).disturb("PutObject", *UNTOLD)
    with pytest.raises(StoreUnavailable):
        await writer.end()
    assert await driver.extend("u/1", len(data), pieces(b"!")) == len(data) + 1
    assert await writer.give_up() is None
    await driver.publish("u/1", "b/x", len(data) + 1)
    assert await collect(driver.read("b/x")) == data + b"!"


async def test_after_a_claim_that_nobody_heard_of_another_writer_may_come(driver: S3Driver) -> None:
    writer = Writer(driver.client, "u/1", form.NEW, again)
    wire = Wire(driver)
    wire.disturb("PutObject", *UNTOLD)
    await writer.add(b"mine")
    await seen_busy(driver.client)
    claimed = await form.look(driver.client, "u/1")
    theirs = await form.write_plain(driver.client, "u/1", claimed, b"theirs")
    with pytest.raises(Lost):
        await writer.end()
    assert await form.look(driver.client, "u/1") == theirs


async def test_a_store_that_fails_leaves_what_was_safe(driver: S3Driver, bucket: Bucket) -> None:
    before = await form.write_plain(driver.client, "u/1", form.NEW, b"before")
    writer = Writer(driver.client, "u/1", before, again)
    await writer.add(b"more")
    Wire(driver).disturb("PutObject", *[faults.answers(500, "InternalError")] * 4)
    assert await writer.give_up() is None
    assert await form.look(driver.client, "u/1") == before
    assert bucket.multiparts() == []


async def test_a_part_that_could_not_be_sent_still_counts(driver: S3Driver) -> None:
    writer = Writer(driver.client, "u/1", form.NEW, again)
    Wire(driver).disturb("UploadPart", *[faults.answers(500, "InternalError")] * 4)
    data = b"x" * PART + b"rest"
    with pytest.raises(StoreUnavailable):
        await writer.add(data)
    stage = await writer.give_up()
    assert stage == await form.look(driver.client, "u/1")
    assert (await form.load(driver.client, "u/1", stage)).rest == data
    assert await driver.extend("u/1", len(data), pieces(b"!")) == len(data) + 1
    await driver.publish("u/1", "b/x", len(data) + 1)
    assert await collect(driver.read("b/x")) == data + b"!"


async def test_what_could_not_be_read_is_not_written_anew(driver: S3Driver) -> None:
    before = await form.write_plain(driver.client, "u/1", form.NEW, b"before")
    writer = Writer(driver.client, "u/1", before, again)
    Wire(driver).disturb("GetObject", *[faults.answers(500, "InternalError")] * 4)
    with pytest.raises(StoreUnavailable):
        await writer.add(b"more")
    assert await writer.give_up() == before
    assert await driver.get("u/1") == b"before"


async def test_what_could_not_be_reopened_stays_whole(driver: S3Driver, bucket: Bucket) -> None:
    before = await form.write_plain(driver.client, "u/1", form.NEW, bytes(PART + 1))
    writer = Writer(driver.client, "u/1", before, again)
    Wire(driver).disturb("UploadPartCopy", *[faults.answers(500, "InternalError")] * 4)
    with pytest.raises(StoreUnavailable):
        await writer.add(b"more")
    assert await writer.give_up() == before
    assert (await form.look(driver.client, "u/1"), bucket.multiparts()) == (before, [])
