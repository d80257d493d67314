"""What a repository may still hold, as pushes ask it: without a quota everything, and nothing is asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from storage.errors import Busy, QuotaExceeded, StoreError, StoreUnavailable
from storage.quota.book import HOLD, Begin, Book, End, Settle
from storage.quota.ledger import NoRoom

_log = logging.getLogger("sidecargo.quota")

SEEN = 1.0
"""For how many seconds what is in use is remembered while a body without an announced length comes in."""

_LOOKS, _PAUSE = 25, 0.1


class Unlimited:
    """What is asked of a repository that no quota names."""

    async def must_have_room(self) -> None:
        """Raises QuotaExceeded where not one byte is left."""

    def within(self, source: AsyncIterator[bytes], before: int = 0) -> AsyncIterator[bytes]:
        """A body whose length nobody knows, after the `before` bytes that are here.

        Raises QuotaExceeded at the first piece that does not fit.
        """
        return source

    @contextlib.asynccontextmanager
    async def adding(self, key: str, size: int, *, instead: str | None = None) -> AsyncIterator[None]:
        """The object `key` of `size` bytes is being stored meanwhile, `instead` of the upload that it was.

        Raises QuotaExceeded, also beside others who ask at the same time; never for what is here already.
        """
        yield

    async def announced(self, upload: str, size: int) -> None:
        """An upload (a key) is about to have `size` bytes in all; they count for ten minutes.

        Raises QuotaExceeded.
        """

    async def dropped(self, upload: str) -> None:
        """An upload is over."""


@dataclass(slots=True)
class _Hold:
    """What this process holds open with one token: for how many of its tasks, and until when."""

    keys: tuple[str, ...]
    ends: float
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    users: int = 1


class Account(Unlimited):
    """What the repositories of one quota may hold together, `allowed` in bytes; its use is in `book`."""

    def __init__(self, title: str, allowed: int, book: Book) -> None:
        self.title = title
        self.allowed = allowed
        self.book = book
        self._holds: dict[str, _Hold] = {}
        self._behind: set[asyncio.Task[None]] = set()

    async def must_have_room(self) -> None:
        """See `Unlimited`."""
        if await self._left(SEEN) <= 0:
            raise self._exceeded(await self._used(), 1)

    async def within(self, source: AsyncIterator[bytes], before: int = 0) -> AsyncIterator[bytes]:
        """See `Unlimited`."""
        size = before
        async for piece in source:
            size += len(piece)
            if size > await self._left(SEEN):
                raise self._exceeded(await self._used(), size)
            yield piece

    @contextlib.asynccontextmanager
    async def adding(self, key: str, size: int, *, instead: str | None = None) -> AsyncIterator[None]:
        """See `Unlimited`."""
        await self._must_be_counted()
        hold = await self._open({key: size}, allowed=self.allowed, instead=instead)
        renewing = asyncio.create_task(self._renew(hold, {key: size}))
        try:
            yield
        finally:
            renewing.cancel()
            self._leave(hold)

    @contextlib.asynccontextmanager
    async def changing(self, sizes: Mapping[str, int], *, at_once: bool = False) -> AsyncIterator[None]:
        """Objects of these sizes are being written or removed meanwhile, whatever is allowed.

        `at_once`: what is removed is free when this ends; else a moment later.
        """
        now = time.monotonic()
        joined = [hold for key in sizes if (hold := self._holds.get(key)) and now < hold.ends]
        for hold in joined:
            hold.users += 1
        known = {key for hold in joined for key in hold.keys}
        others = {key: size for key, size in sizes.items() if key not in known}
        try:
            if others:
                joined.append(await self._open(others))
            yield
        finally:
            for hold in joined:
                self._leave(hold)
            if at_once and self._behind:
                await self.close()

    async def announced(self, upload: str, size: int) -> None:
        """See `Unlimited`."""
        await self._must_be_counted()
        await self._changed(Begin(upload, {upload: size}, self.allowed))

    async def dropped(self, upload: str) -> None:
        """See `Unlimited`."""
        await self.book.change(End(upload, (upload,)))

    async def close(self) -> None:
        """Be done with what nobody waits for."""
        self.book.flush()
        await asyncio.gather(*self._behind, return_exceptions=True)

    # What this process holds open

    async def _open(
        self, sizes: Mapping[str, int], *, allowed: int | None = None, instead: str | None = None
    ) -> _Hold:
        hold = _Hold(tuple(sizes), time.monotonic() + HOLD / 2)
        step = Begin(hold.token, sizes, allowed, (instead,) if instead else ())
        try:
            await self._changed(step)
        except asyncio.CancelledError:
            self._leave(hold)  # it may be written none the less
            raise
        self._holds.update(dict.fromkeys(sizes, hold))
        return hold

    def _leave(self, hold: _Hold) -> None:
        """Hold it open no more, by and by: where that fails it lapses by itself."""
        hold.users -= 1
        if hold.users:
            return
        for key in hold.keys:
            if self._holds.get(key) is hold:
                del self._holds[key]
        task = asyncio.create_task(self._ended(self.book.later(End(hold.token, hold.keys))))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _ended(self, done: asyncio.Future[None]) -> None:
        try:
            await done
        except (StoreError, Busy) as error:
            _log.warning("%s: what was stored is seen a little later: %s", self.title, error)

    async def _renew(self, hold: _Hold, sizes: Mapping[str, int]) -> None:
        """Hold open for longer, while a body takes its time."""
        while True:
            await asyncio.sleep(HOLD / 3)
            try:
                await self.book.change(Begin(hold.token, sizes))
                hold.ends = time.monotonic() + HOLD / 2
            except StoreError as error:
                _log.warning("%s: what is being pushed may not be waited for: %s", self.title, error)

    # What is left

    async def _changed(self, step: Begin) -> None:
        try:
            await self.book.change(step)
        except NoRoom as no_room:
            raise self._exceeded(no_room.used, no_room.size) from None

    async def _left(self, age: float) -> int:
        await self._must_be_counted()
        left = self.allowed - await self._used(age)
        if left <= 0:
            await self.book.change(Settle())
            left = self.allowed - await self._used()
        return left

    async def _used(self, age: float = SEEN) -> int:
        return (await self.book.ledger(age=age)).used

    async def _must_be_counted(self) -> None:
        """Raises StoreUnavailable while what was here before the quota is being counted."""
        age = HOLD
        for _ in range(_LOOKS):
            if (await self.book.ledger(age=age)).counted is not None:
                return
            age = 0.0
            await asyncio.sleep(_PAUSE)
        raise StoreUnavailable(
            f"what {self.title} holds is being counted for its quota, which was set just now.",
            fix="Try again in a minute.",
            retry_after=5,
        )

    def _exceeded(self, used: int, size: int) -> QuotaExceeded:
        return QuotaExceeded(self.title, allowed=self.allowed, used=used, size=size)
