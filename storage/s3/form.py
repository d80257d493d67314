"""The form of a staged object in S3.

It is *plain* while it is small and nobody is seen to write to it, and again when all of it is there: its
bytes are the object's. Else it is a *record*: a line of JSON with the ETags of the parts that a multipart
upload to the same key has, then what came after the last whole part. What is known without reading it
is in its metadata: how many bytes are staged, the multipart upload, who wrote it, and whether that writer
is at it still.

It comes into being with the first bytes: one that is not there is empty (`NEW`). One that has *ended* stays
for a while as an object without bytes that says so, lest it be taken for a new one.

Every change is a write under the condition that the object is as it was (its ETag). The line holds a number
made for it, for S3 makes ETags of the content: two records are never the same content.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from storage.driver import ObjectMissing
from storage.errors import StoreUnavailable
from storage.s3.body import Bytes
from storage.s3.client import S3Client
from storage.s3.errors import Unmet
from storage.s3.writes import PART, put, put_if

LEASE_SECONDS = 30.0
"""A writer that has said nothing for so long is gone."""

_SIZE = "sidecargo-size"
_UPLOAD = "sidecargo-upload"
_WRITER = "sidecargo-writer"
_BY = "sidecargo-by"
_ENDED = "sidecargo-ended"


@dataclass(frozen=True, slots=True)
class Stage:
    """A staged object at one moment: `size` bytes are staged; `busy` when a writer was at it.

    Without an ETag nothing is in the store yet. `by` is whose record it is, where it is one.
    """

    etag: str | None
    size: int
    plain: bool = True
    upload: str = ""
    busy: bool = False
    by: str = ""


NEW = Stage(None, 0)


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staged object holds: the ETags of its parts, and what came after them."""

    parts: tuple[str, ...] = ()
    rest: Bytes = b""

    @property
    def size(self) -> int:
        """How many bytes that is."""
        return len(self.parts) * PART + len(self.rest)


async def look(client: S3Client, key: str) -> Stage:
    """How a staged object stands now; raises ObjectMissing when it has ended."""
    try:
        answer = await client.call("head_object", key)
    except ObjectMissing:
        return NEW
    if _ENDED in answer.get("Metadata", {}):
        raise ObjectMissing(key)
    return _stage(answer)


def staged_size(answer: Any) -> int:
    """How many bytes of an object count, by the answer to a HEAD: of a staged one those that are staged."""
    return int(answer.get("Metadata", {}).get(_SIZE, answer["ContentLength"]))


async def load(client: S3Client, key: str, stage: Stage) -> Staged:
    """What it holds as it stood; raises Unmet when it has changed. A large plain one is not for this."""
    if stage.plain and not stage.size:
        return Staged()
    try:
        data, _ = await client.get(key, IfMatch=str(stage.etag))
    except ObjectMissing:
        raise Unmet(retried=False) from None
    if stage.plain:
        return Staged(rest=data)
    end = data.find(b"\n") + 1
    try:
        return Staged(tuple(json.loads(data[:end])["parts"]), memoryview(data)[end:])
    except (ValueError, KeyError, TypeError):
        raise StoreUnavailable(
            f"the object {key} of the store is damaged.", fix="Begin the upload anew."
        ) from None


async def write_plain(client: S3Client, key: str, before: Stage, data: Bytes) -> Stage:
    """Let these bytes be what is staged; raises Unmet when it is not as it was before."""
    return Stage(await put_if(client, key, data, etag=before.etag), len(data))


async def end(client: S3Client, key: str, before: Stage) -> None:
    """Let nothing be added to it any more; raises Unmet when it is not as it was before."""
    await put_if(client, key, b"", etag=before.etag, metadata={_ENDED: "1"})


async def end_surely(client: S3Client, key: str) -> None:
    """Let nothing be added to it any more, however it stands."""
    await put(client, key, b"", metadata={_ENDED: "1"})


async def write_record(
    client: S3Client, key: str, before: Stage, staged: Staged, *, upload: str, by: str, busy: bool
) -> Stage:
    """Let these parts and what came after them be staged; raises Unmet when it is not as it was before.

    `by` is whose record it is, `busy` whether that writer goes on.
    """
    line = json.dumps({"parts": staged.parts, "write": uuid.uuid4().hex}).encode() + b"\n"
    metadata = {_SIZE: str(staged.size), _UPLOAD: upload, _BY: by, _WRITER: by if busy else ""}
    said = {name: value for name, value in metadata.items() if value}
    etag = await put_if(client, key, line, staged.rest, etag=before.etag, metadata=said)
    return Stage(etag, staged.size, plain=False, upload=upload, busy=busy, by=by)


async def names_upload(client: S3Client, key: str, upload: str) -> bool:
    """Whether a staged object goes on with this multipart upload."""
    with contextlib.suppress(ObjectMissing):
        return (await look(client, key)).upload == upload
    return False


def _stage(answer: Any) -> Stage:
    metadata = answer.get("Metadata", {})
    return Stage(
        str(answer["ETag"]),
        staged_size(answer),
        plain=_SIZE not in metadata,
        upload=metadata.get(_UPLOAD, ""),
        busy=_WRITER in metadata and _age(answer) < LEASE_SECONDS,
        by=metadata.get(_BY, ""),
    )


def _age(answer: Any) -> float:
    """How long ago the object was written, by the store's own clock."""
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return float((parsedate_to_datetime(said) - answer["LastModified"]).total_seconds())
    except (ValueError, TypeError):
        return 0.0
