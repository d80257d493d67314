"""Writes to an S3 store: under a condition, in parts, and copies that stay within the store.

A write under a condition names itself in the object's metadata: where the answer of a write that was done
is lost, its next try finds the condition unmet, by itself.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from storage.driver import ObjectMissing
from storage.errors import StoreError, StoreFull, StoreUnavailable
from storage.s3.body import Body, Bytes
from storage.s3.client import S3Client
from storage.s3.errors import Conflict, Unmet, UploadGone

PART = 8 << 20
"""The size of every part but the last: S3 takes 5 MiB to 5 GiB, some stores only equal ones."""

MOST_PARTS = 10_000
"""How many parts an object has at most (Amazon S3, "Multipart upload limits")."""

COPIED_AT_ONCE = 128 << 20
"""What one call copies, at most: S3 takes 5 GiB, but a copy is to be done before its call times out."""

_SMALL = 1 << 20  # what is sent beside calls for small objects
_WRITE = "sidecargo-write"
_CONFLICTS = 8

T = TypeVar("T")


async def put(
    client: S3Client,
    key: str,
    data: Bytes,
    *,
    content: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Create or replace an object."""
    said: dict[str, Any] = {"Body": Body(data), **client.options.written(content=content)}
    said |= {"Metadata": dict(metadata)} if metadata else {}
    await client.call("put_object", key, large=len(data) > _SMALL, **said)


async def put_if(
    client: S3Client,
    key: str,
    *data: Bytes,
    etag: str | None,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Replace the object that has this ETag, with None create one that is not there; the new ETag.

    Its content is `data`, one after the other.

    Raises Unmet.
    """
    mine = uuid.uuid4().hex
    said: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    said |= {"Body": Body(*data), "Metadata": {**(metadata or {}), _WRITE: mine}}
    said |= client.options.written(content=False)
    large = len(said["Body"]) > _SMALL
    try:
        answer = await _answered(lambda: client.call("put_object", key, large=large, **said))
    except (Unmet, ObjectMissing) as error:
        if isinstance(error, Unmet) and error.retried and (found := await _of_write(client, key, mine)):
            return found
        raise Unmet(retried=False) from None
    return str(answer["ETag"])


async def delete_if(client: S3Client, key: str, etag: str = "*") -> bool:
    """Remove the object that has this ETag; whether there was one. Raises Unmet for another one."""
    try:
        await _answered(lambda: client.call("delete_object", key, IfMatch=etag))
    except Unmet as unmet:
        if etag != "*" and await _is_there(client, key):
            raise
        return unmet.retried
    return True


class Parts:
    """A multipart upload, begun with its first part or gone on with: parts of PART bytes, then a shorter one.

    `tags` are the ETags of its parts so far.
    """

    def __init__(self, client: S3Client, key: str, upload: str = "", tags: tuple[str, ...] = ()) -> None:
        self.upload = upload
        self.tags = list(tags)
        self._client = client
        self._key = key
        self._mine = uuid.uuid4().hex

    async def add(self, data: Bytes) -> None:
        """One more part; raises UploadGone."""
        await self._add("upload_part", {"Body": Body(data)})

    async def add_copy(self, source: str, etag: str, start: int, end: int) -> None:
        """One more part: the bytes `start` to `end` (exclusive) of an object; raises Unmet, ObjectMissing."""
        source_of = _source(self._client, source)
        said = {
            "CopySource": source_of,
            "CopySourceIfMatch": etag,
            "CopySourceRange": f"bytes={start}-{end - 1}",
        }
        await self._add("upload_part_copy", said)

    async def complete(self, *, etag: str | None = None) -> str:
        """Make the parts an object at once, in place of the one that has this ETag if one is said; its ETag.

        Raises Unmet, UploadGone.
        """
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(self.tags, 1)]
        said: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        said |= {"UploadId": self.upload, "MultipartUpload": {"Parts": parts}}
        try:
            answer = await _answered(
                lambda: self._client.call("complete_multipart_upload", self._key, large=True, **said)
            )
        except (Unmet, UploadGone) as over:
            if over.retried and (found := await _of_write(self._client, self._key, self._mine)):
                return found
            raise
        except ObjectMissing:
            raise Unmet(retried=False) from None
        return str(answer["ETag"])

    async def abort(self) -> None:
        """Let go of what was sent; where the store fails to, sweeping does it later."""
        if self.upload:
            with suppress(UploadGone, ObjectMissing, StoreError):
                await self._client.call("abort_multipart_upload", self._key, UploadId=self.upload)

    async def begin(self) -> None:
        """Begin the upload, if that is not done."""
        if not self.upload:
            said: dict[str, Any] = {"Metadata": {_WRITE: self._mine}}
            said |= self._client.options.written(content=True)
            begun = await self._client.call("create_multipart_upload", self._key, **said)
            self.upload = begun["UploadId"]

    async def _add(self, operation: str, said: dict[str, Any]) -> None:
        await self.begin()
        number = len(self.tags) + 1
        if number > MOST_PARTS:
            raise StoreFull(
                f"an object in S3 has {MOST_PARTS * PART >> 30} GiB at most.", fix="Lower limits.upload."
            )
        said |= {"UploadId": self.upload, "PartNumber": number}
        answer = await self._client.call(operation, self._key, large=True, **said)
        self.tags.append(str(answer.get("CopyPartResult", answer)["ETag"]))


def fill(held: bytearray, piece: Bytes) -> memoryview:
    """Let a part hold what it has room for; what is left of the piece."""
    view = memoryview(piece)
    room = PART - len(held)
    held += view[:room]
    return view[room:]


async def put_parts(client: S3Client, key: str, pieces: AsyncIterator[bytes]) -> int:
    """Create or replace an object out of a stream, and its size; one part at a time is in memory."""
    parts, held, size = Parts(client, key), bytearray(), 0
    try:
        async for piece in pieces:
            size += len(piece)
            left = fill(held, piece)
            while left:
                await parts.add(held)
                held.clear()
                left = fill(held, left)
        if not parts.tags:
            await put(client, key, held, content=True)
            return size
        await parts.add(held)
        await parts.complete()
    except (Unmet, UploadGone):
        await parts.abort()
        raise _disturbed(client) from None
    except BaseException:
        await parts.abort()
        raise
    return size


async def copy(client: S3Client, key: str, target: str, *, size: int, etag: str) -> None:
    """Give an object that has this ETag another key, too; raises Unmet or ObjectMissing where it has not."""
    if size <= COPIED_AT_ONCE:
        said: dict[str, Any] = {"CopySource": _source(client, key), "CopySourceIfMatch": etag}
        said |= {"MetadataDirective": "REPLACE", "Metadata": {}, **client.options.written(content=True)}
        await _answered(lambda: client.call("copy_object", target, large=True, **said))
        return
    parts = Parts(client, target)
    try:
        for start in range(0, size, COPIED_AT_ONCE):
            await parts.add_copy(key, etag, start, min(start + COPIED_AT_ONCE, size))
        await parts.complete()
    except UploadGone:
        raise _disturbed(client) from None
    except BaseException:
        await parts.abort()
        raise


async def _answered(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a call that the store may put off while it is at the object for somebody else."""
    for attempt in range(_CONFLICTS):
        try:
            return await call()
        except Conflict:
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311
    raise StoreUnavailable("the store is busy with this object.", fix="Try again a little later.")


async def _of_write(client: S3Client, key: str, mine: str) -> str | None:
    """The ETag of the object, if this write made it."""
    with suppress(ObjectMissing):
        found = await client.call("head_object", key)
        if found.get("Metadata", {}).get(_WRITE) == mine:
            return str(found["ETag"])
    return None


async def _is_there(client: S3Client, key: str) -> bool:
    with suppress(ObjectMissing):
        await client.call("head_object", key)
        return True
    return False


def _source(client: S3Client, key: str) -> dict[str, str]:
    return {"Bucket": client.options.bucket, "Key": client.options.prefix + key}


def _disturbed(client: S3Client) -> StoreUnavailable:
    return StoreUnavailable(
        f"somebody else has ended an upload to {client.options.shown}.",
        fix="Push again; look which programs remove multipart uploads there.",
    )
