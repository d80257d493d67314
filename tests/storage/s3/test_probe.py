from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage.errors import StoreUnavailable
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.s3.probe import probe
from tests.real.seaweed import Bucket
from tests.storage.s3 import faults
from tests.storage.s3.faults import Wire

pytestmark = pytest.mark.real


@pytest.fixture
def driver(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> S3Driver:
    return s3_driver(S3Options(bucket.name, bucket.prefix))


async def test_a_good_store(driver: S3Driver, bucket: Bucket) -> None:
    await probe(driver)
    assert bucket.keys() == {}


def ignoring(driver: S3Driver, header: str, call: str) -> None:
    """Let the store not see a condition, as one that does not know it."""

    def strip(params: Any, **_: Any) -> None:
        params["headers"].pop(header, None)

    driver.client.boto.meta.events.register(f"before-call.s3.{call}", strip)


@pytest.mark.parametrize(
    ("header", "call"),
    [("If-None-Match", "PutObject"), ("If-Match", "PutObject"), ("If-Match", "DeleteObject")],
    ids=" ".join,
)
async def test_a_store_that_ignores_a_condition(
    driver: S3Driver, bucket: Bucket, header: str, call: str
) -> None:
    ignoring(driver, header, call)
    with pytest.raises(StoreUnavailable, match=f"does not honour {header}") as raised:
        await probe(driver)
    assert "conditional writes" in raised.value.fix
    assert bucket.keys() == {}


async def test_a_store_that_refuses_conditions(driver: S3Driver, bucket: Bucket) -> None:
    Wire(driver).disturb("PutObject", lambda _: None, faults.answers(501, "NotImplemented"))
    with pytest.raises(StoreUnavailable, match="NotImplemented"):
        await probe(driver)
    assert bucket.keys() == {}


async def test_a_bucket_that_is_not_there(s3_driver: Callable[[S3Options], S3Driver], bucket: Bucket) -> None:
    with pytest.raises(StoreUnavailable, match="there is no bucket for s3://no-such-bucket/x"):
        await probe(s3_driver(S3Options("no-such-bucket", "x/")))
