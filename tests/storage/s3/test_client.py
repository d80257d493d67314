from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from storage.driver import CHUNK, ObjectMissing
from storage.errors import StoreUnavailable
from storage.s3 import writes
from storage.s3.body import Body
from storage.s3.client import COPIES, THREADS, S3Client, S3Options, finished
from storage.s3.driver import S3Driver
from tests.real.process import free_port
from tests.real.seaweed import Bucket
from tests.storage.s3 import faults
from tests.storage.s3.faults import Wire, breaks_off
from tests.storage.streams import collect, pieces

Open = Callable[[S3Options], S3Driver]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of boto3's, and a store that nothing listens for."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "AKIDSECRET",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/none",
        "AWS_SHARED_CREDENTIALS_FILE": "/none",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("prefix", "shown"), [("", "s3://bucket"), ("a/", "s3://bucket/a"), ("a/b/", "s3://bucket/a/b")]
)
def test_the_place_as_people_write_it(prefix: str, shown: str) -> None:
    assert S3Options("bucket", prefix).shown == shown


@pytest.mark.parametrize(
    ("options", "record", "content"),
    [
        ({}, {}, {}),
        (
            {"encryption": "aws:kms", "kms_key": "k"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"},
        ),
        ({"storage_class": "STANDARD_IA"}, {}, {"StorageClass": "STANDARD_IA"}),
    ],
    ids=["nothing", "encryption", "storage class"],
)
def test_what_a_write_says(options: dict[str, str], record: dict[str, str], content: dict[str, str]) -> None:
    said = S3Options("bucket", **options)  # type: ignore[arg-type]
    assert (said.written(content=False), said.written(content=True)) == (record, content)


@pytest.mark.usefixtures("alone")
async def test_nothing_listens(s3_driver: Open) -> None:
    driver = s3_driver(S3Options("bucket"))
    with pytest.raises(StoreUnavailable) as raised:
        await driver.put("a/b", b"x")
    assert str(raised.value).startswith("nothing answers at the endpoint of s3://bucket.")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "there are no credentials"),
        ({"AWS_PROFILE": "none"}, "there is no such profile"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL is no URL"),
    ],
    ids=["credentials", "profile", "endpoint"],
)
@pytest.mark.usefixtures("alone")
async def test_what_boto3_is_not_told_well(
    variables: dict[str, str], said: str, s3_driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreUnavailable, match=said):
        await s3_driver(S3Options("bucket")).get("a/b")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("endpoint", ["", "http://s3.example:8333"], ids=["Amazon's", "another"])
async def test_a_url_is_signed_here_and_now(
    endpoint: str, s3_driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN")
    url = urlsplit(await s3_driver(S3Options("bucket", "a/", path_style=bool(endpoint))).locate("blobs/b"))
    shown = f"{url.scheme}://{url.netloc}{url.path}"
    assert shown == (
        f"{endpoint}/bucket/a/blobs/b" if endpoint else "https://bucket.s3.amazonaws.com/a/blobs/b"
    )
    said = {name: value for name, (value,) in parse_qs(url.query, strict_parsing=True).items()}
    assert re.fullmatch(r"[0-9a-f]{64}", said.pop("X-Amz-Signature"))
    day = said.pop("X-Amz-Date").partition("T")[0]
    assert said == {
        "response-content-type": "application/octet-stream",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"AKIDSECRET/{day}/us-east-1/s3/aws4_request",
        "X-Amz-Expires": "600",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Security-Token": "TOKEN",
    }


@pytest.mark.usefixtures("alone")
async def test_nothing_to_sign_with(s3_driver: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
    with pytest.raises(StoreUnavailable, match="there are no credentials"):
        await s3_driver(S3Options("bucket")).locate("a/b")


@pytest.mark.usefixtures("alone")
def test_time_outs_and_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    def configured() -> Any:
        client = S3Client(S3Options("bucket", path_style=True))
        client.close()
        return client.boto.meta.config

    said = configured()
    assert (said.connect_timeout, said.read_timeout, said.s3["addressing_style"]) == (3, 20, "path")
    assert said.retries["total_max_attempts"] == 1, "boto3's own variable goes before"
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    assert (configured().retries["mode"], configured().retries["total_max_attempts"]) == ("standard", 4)
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    assert configured().retries["mode"] == "adaptive"


@pytest.mark.real
async def test_threads_are_bounded(bucket: Bucket, s3_driver: Open) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    before = threading.active_count()
    await asyncio.gather(*(driver.put(f"a/{at}", b"x") for at in range(3 * THREADS)))
    assert threading.active_count() - before <= THREADS


@pytest.mark.real
async def test_copies_take_turns(bucket: Bucket, s3_driver: Open) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await asyncio.gather(*(driver.put(f"a/{at}", b"x") for at in range(2 * COPIES)))
    etag = (await driver.client.call("head_object", "a/0"))["ETag"]
    lock, under_way, most = threading.Lock(), 0, 0

    def hold(**_said: Any) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.3)
        with lock:
            under_way -= 1

    driver.client.boto.meta.events.register("before-send.s3.CopyObject", hold)
    copies = (writes.copy(driver.client, f"a/{at}", f"b/{at}", size=1, etag=etag) for at in range(2 * COPIES))
    await asyncio.gather(*copies)
    assert most == COPIES


@pytest.mark.real
async def test_a_bucket_that_is_not_there(bucket: Bucket, s3_driver: Open) -> None:
    with pytest.raises(StoreUnavailable, match="there is no bucket for s3://no-such-bucket"):
        await s3_driver(S3Options("no-such-bucket")).get("a/b")


@pytest.mark.real
async def test_wrong_credentials(bucket: Bucket, s3_driver: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "WRONGSECRET")
    with pytest.raises(StoreUnavailable, match="refuses the credentials") as raised:
        await s3_driver(S3Options(bucket.name)).get("a/b")
    assert "WRONGSECRET" not in str(raised.value)


# Bodies


class Breaking:
    """A body whose connection breaks after some bytes."""

    def __init__(self, body: Any, after: int) -> None:
        self._body = body
        self._left = after

    def read(self, amount: int | None = None) -> bytes:
        if self._left <= 0:
            raise ConnectionResetError(104, "reset")
        self._left -= amount or self._left
        return self._body.read(amount)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._body.close()


def breaking(driver: S3Driver, times: int, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    get_object, left = driver.client.boto.get_object, [times]

    def get(**said: Any) -> Any:
        answer = get_object(**said)
        if left[0]:
            left[0] -= 1
            answer["Body"] = Breaking(answer["Body"], after)
        return answer

    monkeypatch.setattr(driver.client.boto, "get_object", get)


@pytest.mark.real
@pytest.mark.parametrize(("start", "end"), [(0, None), (5, 3 * CHUNK), (CHUNK, None)], ids=str)
async def test_a_body_that_breaks_off_is_gone_on_with(
    bucket: Bucket, s3_driver: Open, monkeypatch: pytest.MonkeyPatch, start: int, end: int | None
) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    data = bytes(range(256)) * (CHUNK // 64)
    await driver.put_stream("a/b", pieces(data))
    breaking(driver, 2, CHUNK, monkeypatch)
    wire = Wire(driver)
    assert await collect(driver.read("a/b", start, end)) == data[start:end]
    assert wire.calls == ["GetObject"] * 3
    breaking(driver, 2, 0, monkeypatch)
    assert await driver.get("a/b") == data
    for times in (3, 4):
        breaking(driver, times, 0, monkeypatch)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await (driver.get("a/b") if times == 3 else collect(driver.read("a/b")))


@pytest.mark.real
async def test_an_error_that_breaks_off_is_asked_for_again(bucket: Bucket, s3_driver: Open) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    wire = Wire(driver)
    wire.disturb("GetObject", breaks_off, breaks_off)
    with pytest.raises(ObjectMissing):
        await driver.get("a/b")
    assert wire.calls == ["GetObject"] * 3
    wire.disturb("GetObject", *[breaks_off] * 3)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await driver.get("a/b")


@pytest.mark.real
async def test_a_body_is_not_gone_on_with_by_another(
    bucket: Bucket, s3_driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await driver.put_stream("a/b", pieces(b"1" * 3 * CHUNK))
    breaking(driver, 1, CHUNK, monkeypatch)
    reader = driver.read("a/b")
    assert await anext(reader) == b"1" * CHUNK
    await driver.put_stream("a/b", pieces(b"2" * 3 * CHUNK))
    with pytest.raises(StoreUnavailable):
        await collect(reader)


@pytest.mark.real
async def test_a_reader_that_is_cancelled_leaves_no_connection(bucket: Bucket, s3_driver: Open) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await driver.put_stream("a/b", pieces(b"1" * 3 * CHUNK))
    closed = threading.Event()
    wire = Wire(driver)

    def slow(request: Any) -> None:
        time.sleep(0.2)

    def closing(parsed: Any, **_: Any) -> None:
        close = parsed["Body"].close
        parsed["Body"].close = lambda: (close(), closed.set())

    wire.disturb("GetObject", slow)
    driver.client.boto.meta.events.register("after-call.s3.GetObject", closing)
    task = asyncio.create_task(collect(driver.read("a/b")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(closed.wait, 5)


async def test_finished_is_awaited_to_the_end() -> None:
    done = []

    async def work() -> int:
        await asyncio.sleep(0.05)
        done.append(1)
        return 7

    assert await finished(work()) == 7
    task = asyncio.create_task(finished(work()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1, 1]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
async def test_a_body_goes_as_it_is_with_its_checksum(
    s3_driver: Open, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    driver = s3_driver(S3Options("bucket"))
    sent: list[Any] = []

    def send(request: Any) -> Any:
        assert isinstance(request.body, Body)
        sent.append((request.body.read(), request.headers))
        return faults.answers(403, "AccessDenied")(request)

    Wire(driver).disturb("PutObject", send, send, send)
    held = Body(bytearray(b"con"), b"tent")
    for body in (b"content", held, held):
        with pytest.raises(StoreUnavailable):
            await driver.client.call("put_object", "x", Body=body)
    for content, headers in sent:
        assert content == b"content"
        assert headers["x-amz-checksum-crc32"] == b"/sUwqQ=="
        assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(b"content").hexdigest().encode()
        assert not {"Content-Encoding", "Transfer-Encoding", "X-Amz-Trailer"} & set(headers)
