"""The client of an S3 store: boto3's, in bounded pools of threads, its failures told as ours.

boto3 takes credentials, roles, the region and the endpoint from where its users keep them: the environment,
`~/.aws`, the machine's role. A failure never says more of them than that they are wrong.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import zlib
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from storage.s3.body import Body, Bytes
from storage.s3.errors import BODY_FAILURES, ERROR_FAILURES, told, told_by_client

THREADS = 32
"""Calls for small objects at a time; as many again move large bodies."""

COPIES = 4
"""Copies within the store at a time: they share it, and each is to be done before its call times out."""

_COPY = ("copy_object", "upload_part_copy")
_CONNECT_SECONDS = 3
_READ_SECONDS = 20
_ATTEMPTS = 4
_BODY_ATTEMPTS = 3
_READS = ("get_", "head_", "list_")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where content is kept, and what boto3 has no place of its own to be told in.

    `prefix` is what every key begins with, "" or with a "/" at its end; `encryption` is "AES256" or
    "aws:kms", with a key's id in `kms_key`; `storage_class` is for content, not for records.
    """

    bucket: str
    prefix: str = ""
    path_style: bool = False
    encryption: str | None = None
    kms_key: str | None = None
    storage_class: str | None = None

    @property
    def shown(self) -> str:
        """The place as people write it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def written(self, *, content: bool) -> dict[str, str]:
        """What a call says that creates an object."""
        said = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key,
            "StorageClass": self.storage_class if content else None,
        }
        return {name: value for name, value in said.items() if value is not None}


class S3Client:
    """Calls to one bucket below one prefix; made by any number of tasks, on one loop or several."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        try:
            self.boto = boto3.session.Session().client("s3", config=_config(options))
        except (BotoCoreError, ValueError) as error:
            raise told(error, options.shown) from None
        self._small = ThreadPoolExecutor(THREADS, "s3")
        self._large = ThreadPoolExecutor(THREADS, "s3-bodies")
        self._copies = ThreadPoolExecutor(COPIES, "s3-copies")

    async def call(self, operation: str, key: str | None = None, *, large: bool = False, **said: Any) -> Any:
        """The answer to an operation of boto3's on an object, or on the bucket; raises as `told` does.

        Once begun, a call that writes is awaited to its end also when the caller is cancelled.
        """
        pool = self._copies if operation in _COPY else self._large if large else self._small
        work = _in_thread(pool, lambda: self._call(operation, key, said))
        return await (work if operation.startswith(_READS) else finished(work))

    async def get(self, key: str, **said: Any) -> tuple[bytes, Any]:
        """A small object whole, and the answer that brought it."""

        def get() -> tuple[bytes, Any]:
            left = _BODY_ATTEMPTS
            while True:
                left -= 1
                answer = self._call("get_object", key, said)
                try:
                    with contextlib.closing(answer["Body"]) as body:
                        return body.read(), answer
                except BODY_FAILURES as error:
                    if not left:
                        raise told(error, self.options.shown) from None

        return await _in_thread(self._small, get)

    async def open(self, key: str, **said: Any) -> tuple[StreamingBody, Any]:
        """An object's body, to be read and closed, and the answer that brings it."""
        work = asyncio.ensure_future(_in_thread(self._large, lambda: self._call("get_object", key, said)))
        try:
            answer = await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_close_body)
            raise
        return answer["Body"], answer

    async def presigned(self, key: str, seconds: int, **said: Any) -> str:
        """A URL that gives an object to whoever has it, for so long; the store is not asked.

        In a thread: the credentials of a role may have to be renewed for it.
        """

        def sign() -> str:
            where = {"Bucket": self.options.bucket, "Key": self.options.prefix + key}
            with self._telling(key):
                url: str = self.boto.generate_presigned_url("get_object", {**where, **said}, seconds)
                return url

        return await _in_thread(self._small, sign)

    async def step(self, work: Callable[[], T]) -> T:
        """The result of a step with an open body, awaited to its end; raises BODY_FAILURES."""
        return await finished(_in_thread(self._large, work))

    def close(self) -> None:
        """Let go of connections and threads, when no call is under way."""
        self._small.shutdown()
        self._large.shutdown()
        self._copies.shutdown()
        self.boto.close()

    def _call(self, operation: str, key: str | None, said: dict[str, Any]) -> Any:
        where = {"Bucket": self.options.bucket}
        if key is not None:
            where["Key"] = self.options.prefix + key
        if "Body" in said:
            said |= _checked(said["Body"])
        left = _BODY_ATTEMPTS if operation.startswith(_READS) else 1
        while True:
            left -= 1
            try:
                with self._telling(key, removes=operation == "delete_object"):
                    return getattr(self.boto, operation)(**where, **said)
            except ERROR_FAILURES as error:
                if not left:
                    raise told(error, self.options.shown) from None

    @contextlib.contextmanager
    def _telling(self, key: str | None, *, removes: bool = False) -> Iterator[None]:
        """What boto3 raises, as ours; what breaks off in the body of an error is left."""
        try:
            yield
        except ClientError as error:
            raise told_by_client(error, self.options.shown, key, removes=removes) from None
        except ERROR_FAILURES:
            raise
        except (BotoCoreError, OSError) as error:
            raise told(error, self.options.shown) from None


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def retried(answer: Any) -> bool:
    """Whether an answer is not the first one that the store may have given to its call."""
    return bool(answer["ResponseMetadata"].get("RetryAttempts"))


async def finished(work: Awaitable[T]) -> T:
    """The result of work, awaited to its end also when the caller is cancelled."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    result = running.result()
    if cancelled:
        raise cancelled
    return result


def _config(options: S3Options) -> Config:
    # boto3's own variables go before ours.
    retries: dict[str, Any] = {}
    if "AWS_RETRY_MODE" not in os.environ:
        retries["mode"] = "standard"
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = _ATTEMPTS
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=2 * THREADS + COPIES,
        retries=retries,  # type: ignore[arg-type]
        s3={"addressing_style": "path"} if options.path_style else {},
        signature_version="s3v4",  # else URLs are signed by version 2
        user_agent_extra="sidecargo",
        tcp_keepalive=True,
    )


def _checked(body: Bytes | Body) -> dict[str, Any]:
    """A body and its checksum. With TLS boto3 would send one after the body, in chunks that it copies."""
    whole, crc = body if isinstance(body, Body) else Body(body), 0
    whole.seek(0)  # after a call that was put off it is at its end
    while piece := whole.read():
        crc = zlib.crc32(piece, crc)
    whole.seek(0)
    return {"Body": whole, "ChecksumCRC32": base64.b64encode(crc.to_bytes(4, "big")).decode()}


def _close_body(work: asyncio.Future[Any]) -> None:
    if not work.cancelled() and work.exception() is None:
        work.result()["Body"].close()
