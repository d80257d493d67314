"""One request that adds to a staged object in S3: what it sends, and how others see that it is at it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator

from storage.driver import ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreError
from storage.s3 import form
from storage.s3.body import Bytes
from storage.s3.client import S3Client, finished
from storage.s3.errors import Unmet, UploadGone
from storage.s3.form import LEASE_SECONDS, Stage, Staged
from storage.s3.writes import PART, Parts, fill

NOTICE_SECONDS = 0.5
"""A body that takes longer is claimed: others are told that a writer is at it."""


class Lost(Exception):
    """Somebody else has changed the staged object; what this writer sent does not count."""


class _Elsewhere(Exception):
    """At this writer's first write the object stands otherwise than it was seen last."""


class Writer:
    """Adds to a staged object that stands as `stage`; one part of it is in memory at a time.

    A short body is one write. A longer one claims the object, and says again and again that it is alive.
    Where the object turns out to stand otherwise at the first write, `again` says how, or raises.
    """

    def __init__(
        self, client: S3Client, key: str, stage: Stage, again: Callable[[], Awaitable[Stage]]
    ) -> None:
        self._client = client
        self._key = key
        self._stage = stage
        self._again: Callable[[], Awaitable[Stage]] | None = again
        self._id = uuid.uuid4().hex
        self._in_doubt = False  # a write failed that may have been done
        self._parts = Parts(client, key, stage.upload)
        self._kept = Staged()  # what others may go on with: all but what is in this writer's hands
        self._held = bytearray()
        self._before = 0  # how much of that was staged already, until the first write
        self._began = False
        self._lost = False
        self._gate = asyncio.Lock()
        self._beat: asyncio.Task[None] | None = None

    async def add(self, piece: bytes) -> None:
        """Take a piece; raises Lost."""
        if not piece:
            return
        if self._lost:
            raise Lost
        if not self._began:
            await self._begin()
        await self._take(piece)

    async def end(self) -> Stage:
        """Let all that was added count; how it stands then. Raises Lost."""
        while True:
            async with self._gate:
                self._stop()
                try:
                    return await self._ended()
                except _Elsewhere:
                    pass
                except Lost:
                    await self._drop_parts()
                    raise
            await self._take(await self._moved_to(b""))

    async def give_up(self) -> Stage | None:
        """After a failure: let count what can; how it stands then, None where that is not known."""
        with contextlib.suppress(Lost, StoreError):
            return await finished(self.end())
        return None

    async def _ended(self) -> Stage:
        if self._lost:
            raise Lost
        if not self._began:
            await self._drop_parts()  # what is staged was not read, so it cannot be written anew
            return self._stage
        self._stage = await self._write(self._written)
        self._held.clear()  # whoever still knows of this writer: a part is much
        return self._stage

    async def _written(self) -> Stage:
        if not self._parts.upload:
            return await form.write_plain(self._client, self._key, self._stage, self._held)
        return await self._record(Staged(tuple(self._parts.tags), self._held), busy=False)

    async def _begin(self) -> None:
        try:
            with _as_lost():
                rest = await self._loaded()
        except Lost:
            rest = bytes(await self._moved_to(b""))
        self._began = True
        self._beat = asyncio.create_task(self._say_so())
        await self._take(rest)  # after a failure that is more than a part
        self._before = len(self._held)

    async def _loaded(self) -> Bytes:
        """What is staged already after its last part, for it is written anew together with what comes."""
        if self._stage.plain and self._stage.size > PART:
            rest = await self._reopened()
        else:
            staged = await form.load(self._client, self._key, self._stage)
            self._parts.tags[:] = staged.parts
            rest = staged.rest
        self._kept = Staged(tuple(self._parts.tags), rest)
        return rest

    async def _reopened(self) -> Bytes:
        """Go on with one that was made whole: S3 adds nothing to an object, so its parts are copied.

        Returns what comes after the last whole part.
        """
        whole, rest = divmod(self._stage.size, PART)
        etag = str(self._stage.etag)
        for at in range(whole):
            start = at * PART
            await self._parts.add_copy(self._key, etag, start, start + PART)
        if not rest:
            return b""
        said = {"Range": f"bytes={whole * PART}-", "IfMatch": etag}
        return (await self._client.get(self._key, **said))[0]

    async def _take(self, piece: Bytes) -> None:
        """Hold a piece; a part that is full is sent when more comes."""
        left = fill(self._held, piece)
        while left:
            try:
                if not self._stage.busy:
                    await self._claim()
                with _as_lost():
                    await self._parts.add(self._held)
            except _Elsewhere:
                left = await self._moved_to(left)
                continue
            except BaseException:
                self._held += left  # it counts, too
                raise
            self._kept = Staged(tuple(self._parts.tags))
            self._held.clear()
            left = fill(self._held, left)

    async def _moved_to(self, left: Bytes) -> memoryview:
        """Go on with the object as it stands now, once, while nothing of this writer's is in it.

        Holds what is staged and what came, `left` at its end; returns what is more than a part. Raises Lost,
        and as `again` does.
        """
        again, self._again = self._again, None
        try:
            if again is None:
                raise Lost
            await self._drop_parts()
            came = bytes(self._held[self._before :]) + left
            self._stage = await again()
            self._parts = Parts(self._client, self._key, self._stage.upload)
            with _as_lost():
                rest = await self._loaded()
        except BaseException:
            self._lost = True
            raise
        self._held.clear()
        self._before = 0
        return fill(self._held, bytes(rest) + came)

    async def _write(self, step: Callable[[], Awaitable[Stage]]) -> Stage:
        """A write, where the object stands as it was seen last; raises _Elsewhere first, then Lost."""
        try:
            with _as_lost():
                stage = await finished(step())
        except Lost:
            if self._again is not None:
                raise _Elsewhere from None
            if await self._wrote_after_all():
                return await self._write(step)
            self._lost = True
            raise
        except BaseException:
            self._again, self._in_doubt = None, True
            raise
        self._again, self._in_doubt = None, False
        return stage

    async def _wrote_after_all(self) -> bool:
        """Whether a write that seemed to fail was done: then it stands as this writer left it."""
        if not self._in_doubt:
            return False
        self._stage = await form.look(self._client, self._key)
        self._in_doubt = False
        return self._stage.by == self._id

    async def _drop_parts(self) -> None:
        """Let go of parts that nobody else knows of."""
        if self._parts.upload != self._stage.upload:
            await finished(self._parts.abort())

    async def _say_so(self) -> None:
        await asyncio.sleep(NOTICE_SECONDS)
        while not self._lost:
            with contextlib.suppress(Lost, _Elsewhere, StoreError, ObjectMissing, StageBusy, StageMoved):
                await self._claim()
            await asyncio.sleep(LEASE_SECONDS / 3)

    async def _claim(self) -> None:
        """Tell others that a writer is at it; raises Lost, _Elsewhere."""
        async with self._gate:
            if self._lost:
                raise Lost
            self._stage = await self._write(lambda: self._record(self._kept, busy=True))

    async def _record(self, staged: Staged, *, busy: bool) -> Stage:
        said = {"upload": self._parts.upload, "by": self._id}
        return await form.write_record(self._client, self._key, self._stage, staged, busy=busy, **said)

    def _stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()  # it does nothing now: the gate is held here


@contextlib.contextmanager
def _as_lost() -> Iterator[None]:
    try:
        yield
    except (Unmet, UploadGone):
        raise Lost from None
