from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from storage.driver import Driver
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from tests.real.seaweed import Bucket
from tests.real.web import get, request
from tests.registry.talk import eventually
from tests.storage.driver_contract import DriverContract
from tests.storage.s3.faults import seen_busy

pytestmark = pytest.mark.real

Open = Callable[..., S3Driver]


class Place:
    """A bucket as a place (`driver_contract.Place`)."""

    def __init__(self, bucket: Bucket, opened: Open) -> None:
        self.bucket = bucket
        self._opened = opened

    def open(self) -> S3Driver:
        return self._opened(S3Options(self.bucket.name, self.bucket.prefix))

    def leftovers(self) -> list[str]:
        return self.bucket.multiparts()

    def abandon(self) -> None:
        key = f"{self.bucket.prefix}a/of-the-dead"
        self.bucket.client.create_multipart_upload(Bucket=self.bucket.name, Key=key)


class TestContract(DriverContract):
    ONE_STEP = False
    BEGUN_LATE = True
    FOLDERS_GO = False  # S3 has no folders; SeaweedFS has, and removes them at its leisure

    @pytest.fixture
    def place(self, bucket: Bucket, s3_driver: Open) -> Place:
        return Place(bucket, s3_driver)

    async def noticed(self, driver: Driver) -> None:
        assert isinstance(driver, S3Driver)
        await seen_busy(driver.client)


async def test_a_url_gives_one_object_to_read(bucket: Bucket, s3_driver: Open) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await driver.put("a/b", b"0123456789")
    await driver.put("a/c", b"another")
    url = await driver.locate("a/b")
    whole = get(url)
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert whole.headers["Content-Type"] == "application/octet-stream"
    part = get(url, {"Range": "bytes=7-"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"789", "bytes 7-9/10")
    assert get(url, {"Range": "bytes=10-"}).status == 416
    assert get(await driver.locate("a/none")).status == 404
    for method in ("HEAD", "PUT", "DELETE"):
        assert request(method, url, body=b"x" if method == "PUT" else None).status == 403, method
    forged = url.replace("/a/b?", "/a/c?"), url.replace("octet-stream", "json"), url[:-1] + "x"
    assert [get(other).status for other in forged] == [403] * 3
    assert await driver.get("a/b") == b"0123456789"


async def test_a_url_is_good_for_a_while(
    bucket: Bucket, s3_driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await driver.put("a/b", b"x")
    monkeypatch.setattr("storage.s3.driver._LENT_SECONDS", 1)
    url = await driver.locate("a/b")
    eventually(lambda: get(url).status == 403)


class InOrder:
    """Lists keys as S3 does: by the bytes of the whole key, a folder where its first key is."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.calls = 0

    def list_objects_v2(
        self, *, Prefix: str, Delimiter: str = "", StartAfter: str = "", MaxKeys: int = 1000,  # noqa: N803
        ContinuationToken: str = "", **_: object,  # noqa: N803
    ) -> Any:  # fmt: skip
        self.calls += 1
        rows: dict[str, str] = {}
        for key in self.keys:
            if key.startswith(Prefix) and key > StartAfter:
                inner = key[len(Prefix) :]
                folder = Prefix + inner.partition(Delimiter)[0] + Delimiter
                row, kind = (folder, "Prefix") if Delimiter and Delimiter in inner else (key, "Key")
                if row > ContinuationToken:
                    rows[row] = kind
        page = dict(list(rows.items())[:MaxKeys])
        return {
            "Contents": [{"Key": row} for row, kind in page.items() if kind == "Key"],
            "CommonPrefixes": [{"Prefix": row} for row, kind in page.items() if kind == "Prefix"],
            "IsTruncated": len(page) < len(rows),
            "NextContinuationToken": list(page)[-1] if page else "",
        }


@pytest.mark.parametrize("kind", ["objects", "folders"])
async def test_pages_in_the_order_of_s3(
    kind: str, bucket: Bucket, s3_driver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S3 lists `v1/` after `v1-rc`; SeaweedFS does not, so it cannot show this.
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    drawn = random.Random(11)
    for _ in range(40):
        names = sorted(
            {"".join(drawn.choices("a1-.+", k=drawn.randint(1, 4))) for _ in range(12)} - {".", ".."}
        )
        below = "" if kind == "objects" else "/x"
        store = InOrder([f"{bucket.prefix}t/{name}{below}" for name in names] + [f"{bucket.prefix}tt/x"])
        monkeypatch.setattr(driver.client.boto, "list_objects_v2", store.list_objects_v2)
        for after in ("", *names, "a-", "zz"):
            following = tuple(name for name in names if name > after)
            for limit in (1, 3, len(names), None):
                page = await driver.children("t", after=after, limit=limit)
                assert page.names == following[:limit], (names, after, limit)
                assert page.more is (limit is not None and len(following) > limit)
