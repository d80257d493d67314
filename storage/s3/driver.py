"""The S3 driver: objects of a bucket below a prefix, which any number of processes may share.

Conditions are S3's own (If-None-Match, If-Match). A move is a copy and a removal. A page of a folder costs
one call where there are only objects in it, and the whole folder where others are below: S3 lists `v1/`
after `v1-rc`, and names are in the order `v1`, `v1-rc`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from storage.driver import (
    CHUNK,
    Entry,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    Page,
    Stat,
    nothing,
)
from storage.s3 import writes
from storage.s3.client import S3Client, S3Options
from storage.s3.errors import BODY_FAILURES, OutOfRange, Unmet, told
from storage.s3.form import staged_size
from storage.s3.staging import Staging
from storage.s3.versions import Versions
from storage.together import together

_PAGE = 1000
_TRIES = 8
_READ_TRIES = 3

_LENT_SECONDS = 600
"""For how long a URL lets others in: S3 looks when a request begins, not how long it takes.

Credentials of a role that boto3 renews are good for as long at least.
"""


class S3Driver:
    """Keys and bytes in a bucket; nothing is asked of the store before the first call."""

    remote = True

    def __init__(self, options: S3Options) -> None:
        self.client = S3Client(options)
        self._staging = Staging(self.client)
        self._versions = Versions()

    def close(self) -> None:
        """Let go of connections and threads, when no call is under way."""
        self.client.close()

    async def get(self, key: str) -> bytes:
        """See `storage.driver.Driver`."""
        found, answer = await self.client.get(key)
        self._versions.note(key, found, answer["ETag"])
        return found

    async def stat(self, key: str) -> Stat:
        """See `storage.driver.Driver`."""
        found = await self.client.call("head_object", key)
        return Stat(staged_size(found), found["LastModified"].timestamp())

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        if end is not None and end <= start:
            await self.stat(key)
            return
        said: dict[str, Any] = {}
        for left in reversed(range(_READ_TRIES)):
            if start or end is not None:
                said["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            try:
                body, answer = await self.client.open(key, **said)
            except OutOfRange:
                return
            except Unmet:
                raise told(ConnectionError(), self.client.options.shown) from None
            said["IfMatch"] = answer["ETag"]  # what it goes on with is what it began with
            try:
                while piece := await self.client.step(partial(body.read, CHUNK)):
                    start += len(piece)
                    yield piece
            except BODY_FAILURES as error:
                if not left:
                    raise told(error, self.client.options.shown) from None
            else:
                return
            finally:
                body.close()

    async def locate(self, key: str) -> str:
        """See `storage.driver.Locates`."""
        return await self.client.presigned(key, _LENT_SECONDS, ResponseContentType="application/octet-stream")

    async def put(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        await writes.put(self.client, key, data)

    async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
        """See `storage.driver.Driver`."""
        for one in steps:
            await together(*(self.put(key, data) for key, data in one.items()))

    async def create(self, key: str, data: bytes) -> None:
        """See `storage.driver.Driver`."""
        try:
            await writes.put_if(self.client, key, data, etag=None)
        except Unmet:
            raise ObjectExists(key) from None

    async def replace(self, key: str, data: bytes, expected: bytes) -> None:
        """See `storage.driver.Driver`."""
        if etag := self._versions.take(key, expected):
            with contextlib.suppress(Unmet):
                await writes.put_if(self.client, key, data, etag=etag)
                return
        with contextlib.suppress(ObjectMissing, Unmet):
            found, answer = await self.client.get(key)
            if found == expected:
                await writes.put_if(self.client, key, data, etag=answer["ETag"])
                return
        raise ObjectChanged(key)

    async def put_stream(self, key: str, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await writes.put_parts(self.client, key, source)

    async def delete(self, key: str, *, expected: bytes | None = None) -> bool:
        """See `storage.driver.Driver`."""
        if expected is None:
            return await writes.delete_if(self.client, key)
        try:
            found, answer = await self.client.get(key)
            if found == expected:
                return await writes.delete_if(self.client, key, answer["ETag"])
        except ObjectMissing:
            return False
        except Unmet:
            pass
        raise ObjectChanged(key)

    async def move(self, key: str, target: str, *, before: float | None = None) -> bool:
        """See `storage.driver.Driver`: other than that, the object is for a moment under both keys."""
        for _ in range(_TRIES):
            try:
                found = await self.client.call("head_object", key)
                if before is not None and found["LastModified"].timestamp() >= before:
                    raise ObjectChanged(key)
                size, etag = found["ContentLength"], found["ETag"]
                await writes.copy(self.client, key, target, size=size, etag=etag)
                return await writes.delete_if(self.client, key, etag)
            except ObjectMissing:
                return False
            except Unmet:  # it was replaced meanwhile
                continue
        raise ObjectChanged(key)

    async def walk(self, prefix: str) -> AsyncIterator[Entry]:
        """See `storage.driver.Driver`."""
        async for page in self._pages(f"{prefix}/"):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self.client.options.prefix)
                yield Entry(key, found["Size"], found["LastModified"].timestamp())

    async def children(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """See `storage.driver.Driver`."""
        names: list[str] = []
        folder = f"{prefix}/" if prefix else ""
        whole = f"{self.client.options.prefix}{folder}"
        said: dict[str, Any] = {"StartAfter": whole + after} if after else {}
        if limit is not None:
            said["MaxKeys"] = min(_PAGE, limit + 1)
        async for page in self._pages(folder, Delimiter="/", **said):
            if page.get("CommonPrefixes") and said:
                names = await self._names(folder)
                break
            names += (name for name in _names(page, len(whole)) if name > after)
            if limit is not None and len(names) > limit:
                break
        following = sorted(name for name in names if name > after)
        return Page(tuple(following[:limit]), more=limit is not None and len(following) > limit)

    async def stage(self, key: str) -> None:
        """See `storage.driver.Driver`."""
        self._staging.begin(key)

    async def staged(self, key: str) -> int:
        """See `storage.driver.Driver`."""
        return await self._staging.size(key)

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        return await self._staging.extend(key, offset, source)

    async def read_staged(self, key: str) -> AsyncIterator[bytes]:
        """See `storage.driver.Driver`."""
        if (await self._staging.whole(key)).size:
            async for piece in self.read(key):
                yield piece

    async def publish(
        self, key: str, target: str | None, size: int, *, then: Callable[[], Awaitable[object]] = nothing
    ) -> None:
        """See `storage.driver.Driver`."""
        await self._staging.publish(key, target, size, then)

    async def discard(self, key: str) -> bool:
        """See `storage.driver.Driver`."""
        return await self._staging.discard(key)

    async def sweep(self, before: float) -> None:
        """See `storage.driver.Driver`."""
        await self._staging.sweep(before)

    async def _names(self, folder: str) -> list[str]:
        skip = len(f"{self.client.options.prefix}{folder}")
        return [name async for page in self._pages(folder, Delimiter="/") for name in _names(page, skip)]

    async def _pages(self, prefix: str, **said: Any) -> AsyncIterator[Any]:
        said["Prefix"] = self.client.options.prefix + prefix
        while True:
            page = await self.client.call("list_objects_v2", **said)
            yield page
            if not page.get("IsTruncated"):
                return
            said.pop("StartAfter", None)
            said["ContinuationToken"] = page["NextContinuationToken"]


def _names(page: Any, skip: int) -> list[str]:
    """The names in a page of a listing: the keys, after as many letters."""
    objects = [found["Key"][skip:] for found in page.get("Contents", ())]
    folders = [found["Prefix"][skip:-1] for found in page.get("CommonPrefixes", ())]
    return [name for name in objects + folders if name]
