"""One request that adds to a staged object in S3: what it sends, and how others see that it is at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from storage.driver import ObjectMissing, StageBusy, StageMoved
from storage.errors import StoreError
from storage.s3 import form
from storage.s3.client import S3Client, finished
from storage.s3.errors import Unmet, UploadGone
from storage.s3.form import LEASE_SECONDS, Stage, Staged
from storage.s3.writes import PART, Parts, cut

NOTICE_SECONDS = 0.5
"""A body that takes longer is claimed: others are told that a writer is at it."""


T = TypeVar("T")


class Lost(Exception):
    """Somebody else has changed the staged object; what this writer sent does not count."""


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
        self._parts = Parts(client, key, stage.upload)
        self._kept = Staged()  # what others may go on with: all but what is in this writer's hands
        self._held = bytearray()
        self._before = 0  # how much of that was staged already
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
        self._held += piece
        while len(self._held) > PART:
            if not self._stage.busy:
                await self._claim()
            with _as_lost():
                await self._send_part()

    async def end(self) -> Stage:
        """Let all that was added count; how it stands then. Raises Lost."""
        async with self._gate:
            self._stop()
            if not self._began and self._stage.etag is not None:
                return self._stage
            try:
                if self._lost:
                    raise Lost
                self._stage = await self._written_first(self._written)
            except Lost:
                await self._forget_parts()
                raise
            return self._stage

    async def give_up(self) -> Stage | None:
        """After a failure: let count what can; how it stands then, None where that is not known."""
        with contextlib.suppress(Lost, StoreError):
            return await finished(self.end())
        return None

    async def _send_part(self) -> None:
        part, self._held = cut(self._held)
        try:
            await self._parts.add(part)
        except BaseException:
            self._held[:0] = part
            raise
        self._kept = Staged(tuple(self._parts.tags))

    async def _written(self) -> Stage:
        while len(self._held) > PART:  # what was staged and what came are more than a part
            await self._send_part()
        if not self._parts.upload:
            return await form.write_plain(self._client, self._key, self._stage, self._held)
        return await self._record(Staged(tuple(self._parts.tags), self._held), writer=False)

    async def _begin(self) -> None:
        self._began = True
        try:
            with _as_lost():
                await self._load()
        except Lost:
            await self._rebase()
        self._beat = asyncio.create_task(self._say_so())

    async def _load(self) -> None:
        """Have at hand what is staged already, for it is written anew together with what comes."""
        if self._stage.plain and self._stage.size > PART:
            await self._reopen()
        else:
            staged = await form.load(self._client, self._key, self._stage)
            self._parts.tags[:] = staged.parts
            self._held[:0] = staged.rest
        self._before = self._stage.size - len(self._parts.tags) * PART
        self._kept = Staged(tuple(self._parts.tags), bytes(self._held[: self._before]))

    async def _reopen(self) -> None:
        """Go on with one that was made whole: S3 adds nothing to an object, so its parts are copied."""
        whole, rest = divmod(self._stage.size, PART)
        etag = str(self._stage.etag)
        for at in range(whole):
            start = at * PART
            await self._parts.add_copy(self._key, etag, start, start + PART)
        if rest:
            said = {"Range": f"bytes={whole * PART}-", "IfMatch": etag}
            self._held[:0] = (await self._client.get(self._key, **said))[0]

    async def _written_first(self, write: Callable[[], Awaitable[Stage]]) -> Stage:
        """A write, where the object stands as expected; the first one else as it stands. Raises Lost."""
        try:
            with _as_lost():
                stage = await finished(write())
        except Lost:
            await self._rebase()
            try:
                with _as_lost():
                    stage = await finished(write())
            except Lost:
                self._lost = True
                raise
        finally:
            self._again = None  # also of a write that failed: it may have been done
        return stage

    async def _rebase(self) -> None:
        """Go on with the object as it stands now, once, while nothing of this writer's is in it.

        Raises Lost, and as `again` does.
        """
        again, self._again = self._again, None
        try:
            if again is None:
                raise Lost
            await self._forget_parts()
            del self._held[: self._before]
            self._before = 0
            self._stage = await again()
            self._parts = Parts(self._client, self._key, self._stage.upload)
            with _as_lost():
                await self._load()
        except BaseException:
            self._lost = True
            raise

    async def _forget_parts(self) -> None:
        """Let go of parts that nobody else knows of."""
        if self._parts.upload != self._stage.upload:
            await finished(self._parts.abort())

    async def _say_so(self) -> None:
        await asyncio.sleep(NOTICE_SECONDS)
        while not self._lost:
            with contextlib.suppress(Lost, StoreError, ObjectMissing, StageBusy, StageMoved):
                await self._claim()
            await asyncio.sleep(LEASE_SECONDS / 3)

    async def _claim(self) -> None:
        """Tell others that a writer is at it; raises Lost."""
        async with self._gate:
            if self._lost:
                raise Lost
            self._stage = await self._written_first(lambda: self._record(self._kept, writer=True))

    async def _record(self, staged: Staged, *, writer: bool) -> Stage:
        return await form.write_record(
            self._client, self._key, self._stage, staged, upload=self._parts.upload, writer=writer
        )

    def _stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()  # it does nothing now: the gate is held here


@contextlib.contextmanager
def _as_lost() -> Iterator[None]:
    try:
        yield
    except (Unmet, UploadGone):
        raise Lost from None
