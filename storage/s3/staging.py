"""Staged objects in S3: begun, added to, read, published and swept by any process over the same bucket.

What this process has seen or written last is remembered, so that the next step need not ask first: its write
is under the condition that nothing has changed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from storage.driver import ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreUnavailable
from storage.s3 import form
from storage.s3.client import S3Client, finished
from storage.s3.errors import Unmet, UploadGone
from storage.s3.form import Stage, Staged
from storage.s3.writer import Lost, Writer
from storage.s3.writes import Parts, copy
from storage.together import together

_REMEMBERED = 1024
_TRIES = 8
_AT_ONCE = 16


class Staging:
    """All staged objects of a bucket."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._seen: OrderedDict[str, Stage] = OrderedDict()

    def begin(self, key: str) -> None:
        """An empty one under a key that nobody has: the store need not know of it before there are bytes."""
        self._remember(key, form.NEW)

    async def size(self, key: str) -> int:
        """How many bytes are staged; raises ObjectMissing when it has ended."""
        return (await self._look(key)).size

    async def extend(self, key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        """See `storage.driver.Driver`."""
        seen = self._seen.get(key)
        if offset is None and seen is not None and not seen.busy:
            stage = seen
        else:
            stage = await self._at(key, offset)
        self._seen.pop(key, None)
        # Where it goes on is what this process saw last: another one may have added to it since.
        again = partial(self._at, key, offset)
        writer = Writer(self._client, key, stage, again)
        try:
            async for piece in source:
                await writer.add(piece)
            stage = await writer.end()
        except Lost:
            await writer.give_up()
            await self._at(key, offset)
            raise StageBusy(key) from None
        except BaseException:
            stood = await writer.give_up()
            if stood is not None:
                self._remember(key, stood)
            raise
        self._remember(key, stage)
        return stage.size

    async def whole(self, key: str) -> Stage:
        """It as an object that can be read and copied; raises ObjectMissing, StageBusy."""
        return await self._settled(key, None)

    async def publish(
        self, key: str, target: str | None, size: int, then: Callable[[], Awaitable[object]]
    ) -> None:
        """See `storage.driver.Driver`."""
        for _ in range(_TRIES):
            stage = await self._settled(key, size)
            try:
                if target is not None:
                    stage = await self._there(key, stage)
                    await copy(self._client, key, target, size=stage.size, etag=str(stage.etag))
                await together(form.end(self._client, key, stage), then())
            except (Unmet, ObjectMissing):
                self._seen.pop(key, None)
                continue
            self._seen.pop(key, None)
            return
        raise StageBusy(key)

    async def discard(self, key: str) -> bool:
        """End it, whoever is at it; whether it was under way."""
        self._seen.pop(key, None)
        try:
            upload = (await form.look(self._client, key)).upload
        except ObjectMissing:
            return False
        await form.end_surely(self._client, key)
        await Parts(self._client, key, upload).abort()
        return True

    async def sweep(self, before: float) -> None:
        """Abort the multipart uploads begun before that time that no staged object goes on with."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def abort(key: str, upload: str) -> None:
            async with gate:
                if not await form.names_upload(self._client, key, upload):
                    await Parts(self._client, key, upload).abort()

        prefix = self._client.options.prefix
        position: dict[str, Any] = {}
        while True:
            page = await self._client.call("list_multipart_uploads", Prefix=prefix, **position)
            uploads = page.get("Uploads", ())
            old = (found for found in uploads if found["Initiated"].timestamp() < before)
            await asyncio.gather(
                *(abort(found["Key"].removeprefix(prefix), found["UploadId"]) for found in old)
            )
            if not uploads or not page.get("IsTruncated"):
                return
            # Not every store says where the next page begins.
            position = {"KeyMarker": uploads[-1]["Key"], "UploadIdMarker": uploads[-1]["UploadId"]}

    async def _there(self, key: str, stage: Stage) -> Stage:
        """It as an object, even where it has no bytes; raises Unmet."""
        return stage if stage.etag else await form.write_plain(self._client, key, stage, b"")

    async def _look(self, key: str) -> Stage:
        self._seen.pop(key, None)
        stage = await form.look(self._client, key)
        self._remember(key, stage)
        return stage

    async def _at(self, key: str, size: int | None) -> Stage:
        """How it stands, where that is at `size` and nobody writes to it; else raises as a Driver does."""
        stage = self._seen.get(key)
        if stage is None or stage.size != size or stage.busy:
            stage = await self._look(key)
        if stage.busy:
            raise StageBusy(key)
        if size not in (None, stage.size):
            raise StageMoved(stage.size)
        return stage

    async def _settled(self, key: str, size: int | None) -> Stage:
        """It in its plain form; raises ObjectMissing, StageMoved when it has not `size`, StageBusy."""
        for _ in range(_TRIES):
            stage = await self._at(key, size)
            if stage.plain:
                return stage
            try:
                stage = await finished(self._made_plain(key, stage))
            except Unmet:
                self._seen.pop(key, None)
                continue
            except UploadGone:
                self._seen.pop(key, None)
                if (await self._look(key)).etag != stage.etag:
                    continue
                raise StoreUnavailable(
                    "the parts of an upload are not in the store any more.", fix="Begin the upload anew."
                ) from None
            self._remember(key, stage)
            return stage
        raise StageBusy(key)

    async def _made_plain(self, key: str, stage: Stage) -> Stage:
        staged: Staged = await form.load(self._client, key, stage)
        if not staged.parts:
            plain = await form.write_plain(self._client, key, stage, staged.rest)
            await Parts(self._client, key, stage.upload).abort()
            return plain
        parts = Parts(self._client, key, stage.upload, staged.parts)
        if staged.rest:
            await parts.add(staged.rest)
        return Stage(await parts.complete(etag=stage.etag), stage.size)

    def _remember(self, key: str, stage: Stage) -> None:
        self._seen[key] = stage
        self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
