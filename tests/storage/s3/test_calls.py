"""How many calls each thing costs in S3: what an operator pays for, and what a push waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from storage.digest import Digest
from storage.pulls import Pull, Pulls
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.s3.writes import PART
from tests.real.seaweed import Bucket
from tests.storage.s3.faults import Wire
from tests.storage.streams import collect, pieces

pytestmark = pytest.mark.real

Act = Callable[[S3Driver], Awaitable[object]]
BIG = b"b" * (2 * PART + 5)


async def nothing(driver: S3Driver) -> None:
    del driver


@dataclass(frozen=True, slots=True)
class Case:
    """`calls` are what `act` costs after `before`; what runs together is in no order."""

    name: str
    act: Act
    calls: str
    before: Act = nothing


async def small(driver: S3Driver) -> None:
    await driver.put("a/b", b"x")


async def read(driver: S3Driver) -> None:
    await small(driver)
    await driver.get("a/b")


async def begun(driver: S3Driver) -> None:
    await driver.stage("u/1")


async def received(driver: S3Driver) -> None:
    await begun(driver)
    await driver.extend("u/1", 0, pieces(b"one", b"two"))


async def received_much(driver: S3Driver) -> None:
    await begun(driver)
    await driver.extend("u/1", 0, pieces(BIG))


async def walked(driver: S3Driver) -> list[str]:
    return [entry.key async for entry in driver.walk("a")]


async def pulled(driver: S3Driver, at: int = 1) -> None:
    await Pulls(driver, "team/a").note(Digest.of(b"x"), [Pull("", "crane", at)])


CASES = [
    Case("put", small, "PutObject"),
    Case("get", lambda d: d.get("a/b"), "GetObject", small),
    Case("stat", lambda d: d.stat("a/b"), "HeadObject", small),
    Case("read", lambda d: collect(d.read("a/b")), "GetObject", small),
    Case("locate", lambda d: d.locate("a/b"), ""),
    Case("create", lambda d: d.create("a/c", b"x"), "PutObject"),
    Case("replace", lambda d: d.replace("a/b", b"y", b"x"), "GetObject PutObject", small),
    Case("replace what was read", lambda d: d.replace("a/b", b"y", b"x"), "PutObject", read),
    Case("delete", lambda d: d.delete("a/b"), "DeleteObject", small),
    Case("delete if", lambda d: d.delete("a/b", expected=b"x"), "GetObject DeleteObject", small),
    Case("move", lambda d: d.move("a/b", "t/b"), "HeadObject CopyObject DeleteObject", small),
    Case("children", lambda d: d.children("a", after="a", limit=10), "ListObjectsV2", small),
    Case("walk", walked, "ListObjectsV2", small),
    Case("put_stream, small", lambda d: d.put_stream("a/s", pieces(b"x", b"y")), "PutObject"),
    Case(
        "put_stream, three parts",
        lambda d: d.put_stream("a/s", pieces(BIG)),
        "CreateMultipartUpload UploadPart UploadPart UploadPart CompleteMultipartUpload",
    ),
    Case("stage", begun, ""),
    Case("staged", lambda d: d.staged("u/1"), "HeadObject", begun),
    Case("extend, first and small", lambda d: d.extend("u/1", 0, pieces(b"x", b"y")), "PutObject", begun),
    Case("extend, more", lambda d: d.extend("u/1", 6, pieces(b"x")), "GetObject PutObject", received),
    Case("extend by nothing", lambda d: d.extend("u/1", 6, pieces()), "", received),
    Case(
        "extend by three parts",
        lambda d: d.extend("u/1", 0, pieces(BIG)),
        "PutObject CreateMultipartUpload UploadPart UploadPart PutObject",
        begun,
    ),
    Case("publish, small", lambda d: d.publish("u/1", "b/x", 6), "CopyObject PutObject", received),
    Case("publish nowhere", lambda d: d.publish("u/1", None, 6), "PutObject", received),
    Case(
        "publish three parts",
        lambda d: d.publish("u/1", "b/x", len(BIG)),
        "GetObject UploadPart CompleteMultipartUpload CopyObject PutObject",
        received_much,
    ),
    Case("discard", lambda d: d.discard("u/1"), "HeadObject PutObject", received),
    Case("note a pull, the first", pulled, "GetObject PutObject"),
    Case("note a pull, another", lambda d: pulled(d, 2), "GetObject PutObject", pulled),
    Case("note a pull that is known", pulled, "GetObject", pulled),
    Case("sweep", lambda d: d.sweep(0), "ListMultipartUploads", received_much),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_calls(
    case: Case,
    bucket: Bucket,
    s3_driver: Callable[[S3Options], S3Driver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.s3.writer.NOTICE_SECONDS", 60)  # a machine may be slow
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await case.before(driver)
    wire = Wire(driver)
    await case.act(driver)
    assert " ".join(wire.calls) == case.calls
    wire.forget()


async def test_a_page_of_many_is_one_call(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    names = [f"v{at:03}" for at in range(120)]
    await driver.put_in_order([{f"t/{name}": b"" for name in names}])
    wire = Wire(driver)
    page = await driver.children("t", after="v009", limit=100)
    assert (page.names, page.more, wire.calls) == (tuple(names[10:110]), True, ["ListObjectsV2"])
