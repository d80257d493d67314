"""What an S3 store must honour before anything is entrusted to it, tried once at the start.

Exactly one of many must win when they create, replace or remove an object at a time: everything that several
processes do to one tag or one upload relies on it. A store that ignores the conditions would lose pushes
without a word.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from storage.driver import ObjectMissing
from storage.errors import StoreError, StoreUnavailable
from storage.s3.client import S3Client
from storage.s3.driver import S3Driver
from storage.s3.errors import Conflict, Unmet

FOLDER = "temp"
"""Where the probe's objects are, for a moment."""


async def probe(driver: S3Driver) -> None:
    """Raises StoreUnavailable where the store cannot be used, saying what to do."""
    client, key = driver.client, f"{FOLDER}/probe-{uuid.uuid4().hex}"
    try:
        await client.call("list_objects_v2", Prefix=client.options.prefix + FOLDER, MaxKeys=1)
        etag = (await client.call("put_object", key, Body=b"1"))["ETag"]
        await _must_refuse(client, "put_object", key, "If-None-Match", Body=b"2", IfNoneMatch="*")
        replaced = await client.call("put_object", key, Body=b"3", IfMatch=etag)
        await _must_refuse(client, "put_object", key, "If-Match", Body=b"4", IfMatch=etag)
        await _must_refuse(client, "delete_object", key, "If-Match of a DELETE", IfMatch=etag)
        await client.call("delete_object", key, IfMatch=replaced["ETag"])
    except (Unmet, ObjectMissing, Conflict):
        raise _careless(client, "If-Match") from None
    finally:
        with contextlib.suppress(StoreError, ObjectMissing, Unmet):
            await client.call("delete_object", key)


async def _must_refuse(client: S3Client, operation: str, key: str, condition: str, **said: Any) -> None:
    try:
        await client.call(operation, key, **said)
    except (Unmet, ObjectMissing, Conflict):
        return
    raise _careless(client, condition)


def _careless(client: S3Client, condition: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{client.options.shown} does not honour {condition}: two pushes at a time could lose one.",
        fix="Use a store, or a release of it, with conditional writes and deletes, as Amazon S3 has them; "
        "or keep content on disk.",
    )
